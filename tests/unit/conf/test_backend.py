"""The options that every backend has."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

from cinder_ext.conf import backend


def test_registering_twice_is_the_same_as_once():
    conf = cfg.ConfigOpts()
    backend.register(conf, 'alpha')
    backend.register(conf, 'alpha')
    conf([], project='test', default_config_files=[])
    assert conf.alpha.volume_driver == 'file'
    assert conf.alpha.volume_backend_name is None
