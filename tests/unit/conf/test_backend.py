"""The options that every backend has."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from oslo_config import cfg

from cinder_ext.conf import backend


def test_registering_twice_is_the_same_as_once():
    conf = cfg.ConfigOpts()
    backend.register(conf, 'alpha')
    backend.register(conf, 'alpha')
    conf([], project='test', default_config_files=[])
    assert conf.alpha.volume_driver == 'file'
    assert conf.alpha.volume_backend_name is None


def _ratio(tmp_path, text):
    file = tmp_path / 'conf'
    file.write_text(f'[alpha]\nmax_over_subscription_ratio = {text}\n')
    conf = cfg.ConfigOpts()
    backend.register(conf, 'alpha')
    conf(['--config-file', str(file)], project='test')
    return conf.alpha.max_over_subscription_ratio


@pytest.mark.parametrize(('text', 'value'), [('auto', 'auto'), ('1', 1.0), ('2.5', 2.5)])
def test_ratio_is_auto_or_a_number(tmp_path, text, value):
    assert _ratio(tmp_path, text) == value


@pytest.mark.parametrize('text', ['0.9', 'nan', 'inf', 'often', '-1'])
def test_other_ratios_are_refused(tmp_path, text):
    with pytest.raises(ValueError):
        _ratio(tmp_path, text)
