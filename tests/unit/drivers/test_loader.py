"""Finding and building drivers by their names."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from oslo_config import cfg

from cinder_ext import exceptions
from cinder_ext.drivers import file, loader


def conf_of(tmp_path, text):
    path = tmp_path / 'service.conf'
    path.write_text(text)
    conf = cfg.ConfigOpts()
    conf(['--config-file', str(path)], project='test')
    return conf


def test_a_section_makes_a_driver_with_its_options(tmp_path):
    conf = conf_of(tmp_path, '[alpha]\nvolume_driver=file\nvolume_backend_name=fast\n'
                             'file_path=/srv/alpha\nfile_copy_bytes_per_second=5000\n')
    made = loader.load(conf, 'alpha')
    assert type(made) is file.FileDriver
    assert made.settings.name == 'alpha'
    assert made.settings.backend_name == 'fast'
    assert made.settings.options.file_path == '/srv/alpha'
    assert made.copy_bytes_per_second == 5000


def test_the_defaults_need_no_line(tmp_path):
    made = loader.load(conf_of(tmp_path, '[alpha]\n'), 'alpha')
    assert type(made) is file.FileDriver
    assert made.settings.backend_name == 'alpha'
    assert made.settings.options.reserved_percentage == 0
    assert made.settings.options.max_over_subscription_ratio == 20.0


def test_the_format_chooses_the_class(tmp_path):
    made = loader.load(conf_of(tmp_path, '[alpha]\nfile_format=qcow2\n'), 'alpha')
    assert type(made).__name__ == 'Qcow2FileDriver'


def test_a_driver_can_be_built_twice(tmp_path):
    conf = conf_of(tmp_path, '[alpha]\n')
    assert loader.load(conf, 'alpha') is not loader.load(conf, 'alpha')


@pytest.mark.parametrize('line', [
    'volume_driver=nowhere', 'reserved_percentage=many', 'reserved_percentage=101',
    'file_reflink=maybe', 'file_format=vmdk', 'max_over_subscription_ratio=0.5'])
def test_wrong_options_are_misconfigured(tmp_path, line):
    with pytest.raises(exceptions.Misconfigured, match='alpha'):
        loader.load(conf_of(tmp_path, f'[alpha]\n{line}\n'), 'alpha')
