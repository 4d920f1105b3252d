"""cinder-ext-conformance: whether a driver keeps its contract, tried on a real backend.

::

    cinder-ext-conformance --config-file FILE --backend SECTION [WORDS FOR PYTEST ...]

Runs the cases of drivers.conformance that the driver's capabilities ask for.  What it makes has
random names and is removed; nothing else on the backend is touched.  Needs pytest.

Exit codes: 0 every case passed, 1 some did not, 2 it could not begin.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import os
import pathlib
import sys
import tempfile

from oslo_config import cfg
from oslo_utils import importutils

from cinder_ext import exceptions
from cinder_ext.conf import options
from cinder_ext.drivers import capabilities, loader

SUITE = 'cinder_ext.drivers.conformance.suite'
MODULE = """
from cinder_ext.cmd import conformance

TestBackend = conformance.cases()
"""

_found = {}


def cases():
    """The test class for the driver that this process tries; pytest collects it."""
    return importutils.import_module(SUITE).for_driver(**_found)


def run(argv):
    """Try a driver; returns the exit code."""
    parser = argparse.ArgumentParser(prog='cinder-ext-conformance',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('--config-file', action='append', required=True,
                        help="a file with the backend's section; may be repeated")
    parser.add_argument('--backend', required=True, help='name of the section')
    parser.add_argument('--export-directory',
                        help='where this host sees what consumers mount, for assisted snapshots')
    chosen, words = parser.parse_known_args(argv)
    try:
        pytest = importutils.import_module('pytest')
        conf = cfg.ConfigOpts()
        options.register_all(conf)
        conf([], project='cinder_ext', default_config_files=chosen.config_file,
             default_config_dirs=[])
        driver = loader.load(conf, chosen.backend)
        driver.start()
    except ImportError as fault:
        return _refused(f'{fault.name} is not installed')
    except (exceptions.CinderExtError, cfg.Error) as fault:
        return _refused(str(fault))
    try:
        return _tried(pytest, driver, chosen.export_directory, words)
    finally:
        driver.stop()


def _tried(pytest, driver, export_directory, words):
    _found.update(driver=driver, export_directory=export_directory)
    print(f'capabilities: {", ".join(capabilities.of(driver)) or "none"}', flush=True)
    with tempfile.TemporaryDirectory(prefix='conformance-') as directory:
        file = pathlib.Path(directory, 'test_backend.py')
        file.write_text(MODULE)
        # Nothing of where it is started from: no plug-in, no configuration of other tests.
        code = pytest.main(['--rootdir', directory, '-c', os.devnull, '-p', 'no:cacheprovider',
                            '-p', 'no:xdist', *(words or ['-v']), str(file)])
    return 0 if code == 0 else 1


def _refused(reason):
    sys.stderr.write(f'cinder-ext-conformance: {reason}\n')
    return 2


def main():
    return run(sys.argv[1:])
