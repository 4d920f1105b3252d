"""qemu-img on layers whose format is known: nothing is probed.

Every call names formats; a chain is handed over as a graph of nodes, so that what stands in a
header is never followed by the tool.
"""
# SPDX-License-Identifier: Apache-2.0

import json
import os

from oslo_concurrency import processutils

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.qcow2 import header

TOOL = 'qemu-img'
_ONLY_LEAKS = 3


def graph(layers):
    """The nodes of a chain as QEMU takes them: formats and files, all explicit.

    :param layers: a list of (path, format), the top first
    """
    (path, kind), behind = layers[0], layers[1:]
    node = {'driver': kind, 'file': {'driver': 'file', 'filename': path}}
    if kind == header.QCOW2:
        node['backing'] = graph(behind) if behind else None
    return node


def create(path, size_bytes, backing=None, backing_format=None):
    """Make an empty layer; its backing file is not opened.

    :param backing: name of a file in the same directory
    """
    behind = ['-u', '-b', backing, '-F', backing_format] if backing else []
    run('create', '-q', '-f', header.QCOW2, *behind, path, str(size_bytes))


def resize(path, size_bytes, kind=header.QCOW2):
    """Make a layer larger; what is added reads zeros."""
    run('resize', '-q', '-f', kind, path, str(size_bytes))


def check(path):
    """Look through the tables of a file that stands on nothing; clusters nobody uses are no fault.

    :raises DriverError: they are broken
    """
    run('check', '-q', '-f', header.QCOW2, path, fine=(0, _ONLY_LEAKS))


def commit(path):
    """Write a layer's data into the one behind it, which grows if it is smaller.  Repeatable."""
    run('commit', '-q', '-d', '-f', header.QCOW2, path)


def rebase(path, backing, backing_format):
    """Take over what is read through the layer behind; then stand on another one.  Repeatable.

    :param backing: None: on nothing
    """
    behind = ['-b', backing, '-F', backing_format] if backing else ['-b', '']
    run('rebase', '-q', '-f', header.QCOW2, *behind, path)


def repoint(path, backing, backing_format):
    """Change what stands in the header; the content behind must be the same."""
    run('rebase', '-q', '-u', '-f', header.QCOW2, '-b', backing, '-F', backing_format, path)


def convert(layers, path):
    """Copy what a chain reads into a new layer that stands on nothing; holes stay holes."""
    run('convert', '-q', '-n', '-W', '--target-is-zero', '--image-opts', '--target-image-opts',
        _options(layers), f'driver={header.QCOW2},file.driver=file,file.filename={path}')


def is_same(one, other):
    """Whether two chains read the same, up to the end of the longer one.

    :param one: a list of (path, format), the top first
    """
    try:
        run('compare', '-U', '-q', *(f'json:{json.dumps(graph(each))}' for each in (one, other)))
    except exceptions.DriverError as fault:
        if getattr(fault.__cause__, 'exit_code', None) == 1:
            return False
        raise
    return True


def extents(layers):
    """Where a chain's data lie.

    :param layers: a list of (path, format), the top first
    :returns: a list of (values.Range, depth, whether it may be other than zero), ascending;
        depth is the index of the layer that holds it
    """
    found = json.loads(run('map', '-U', '--output=json', 'json:' + json.dumps(graph(layers))))
    return [(values.Range(part['start'], part['length']), part['depth'], not part['zero'])
            for part in found]


def is_read_through(layers, is_all):
    """Whether something is read through the upper layer that a lower one holds, as the medium has it.

    :param layers: a list of (path, format), the top first; what they stand on does not count
    :param is_all: whether nothing lies below, so that zeros need not be held
    """
    found = json.loads(run('map', '-U', '--output=json', 'json:' + json.dumps(graph(layers))))
    return any(part['depth'] and part['present'] and not (is_all and part['zero'])
               for part in found)


def _options(layers):
    """A chain in the dotted words of --image-opts, which has no way to name it as JSON."""
    words, prefix = [], ''
    for path, kind in layers:
        words += [f'{prefix}driver={kind}', f'{prefix}file.driver=file',
                  f'{prefix}file.filename={path.replace(",", ",,")}']
        prefix += 'backing.'
    return ','.join(words)


def run(*words, fine=(0,)):
    """What the tool prints.

    :param fine: exit codes that are no fault
    :raises NoSpace: the medium is full
    :raises ResourceBusy: another process has a layer open
    :raises DriverError: it refused
    """
    try:
        printed, _ = processutils.execute(
            TOOL, *words, env_variables={**os.environ, 'LC_ALL': 'C'}, check_exit_code=fine)
    except processutils.ProcessExecutionError as fault:
        said = (fault.stderr or '').strip()
        reason = f'{TOOL} {words[0]}: {said.splitlines()[-1] if said else fault.exit_code}'
        if 'No space left on device' in said or 'Disk quota exceeded' in said:
            raise exceptions.NoSpace(reason=reason) from fault
        if 'lock' in said and 'Is another process using the image' in said:
            raise exceptions.ResourceBusy(reason=reason) from fault
        raise exceptions.DriverError(reason=reason) from fault
    except OSError as fault:
        raise exceptions.DriverError(reason=f'{TOOL} cannot be run: {fault.strerror}') from fault
    return printed
