"""[replication]: the name of the cloud, and keys that are never shown."""
# SPDX-License-Identifier: Apache-2.0

import logging

import pytest
from oslo_config import cfg

from cinder_ext.conf import options


def _parsed(tmp_path, text):
    path = tmp_path / 'x.conf'
    path.write_text(text)
    conf = options.new()
    options.parse(conf, ['--config-file', str(path)])
    return conf


def test_keys_are_found_by_cloud(tmp_path):
    conf = _parsed(tmp_path, '[replication]\ncloud = paris\npeer_keys = rome:x:y=z,oslo:second\n')
    assert conf.replication.cloud == 'paris'
    assert conf.replication.peer_keys == {'rome': 'x:y=z', 'oslo': 'second'}


def test_keys_do_not_get_into_the_log(tmp_path, caplog):
    conf = _parsed(tmp_path, '[replication]\ncloud = paris\npeer_keys = rome:hidden-word\n')
    with caplog.at_level(logging.DEBUG):
        conf.log_opt_values(logging.getLogger(__name__), logging.DEBUG)
    assert 'replication.peer_keys' in caplog.text
    assert 'hidden-word' not in caplog.text


def test_a_name_that_could_be_mistaken_is_refused(tmp_path):
    conf = _parsed(tmp_path, '[replication]\ncloud = a/b\n')
    with pytest.raises(cfg.ConfigFileValueError):
        _ = conf.replication.cloud
