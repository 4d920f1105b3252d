"""Limits of migrations follow the file that they are written in."""
# SPDX-License-Identifier: Apache-2.0

import threading

from cinder_ext.conf import options
from cinder_ext.volume.migration import limits


def test_limits_are_read_again(tmp_path):
    path = tmp_path / 'cinder_ext.conf'
    path.write_text('[migration]\nconcurrent = 1\n')
    conf = options.new()
    options.parse(conf, ['--config-file', str(path)])
    places = limits.Places(lambda: conf.migration.concurrent, threading.Event())
    buckets = [limits.Bucket(lambda: conf.migration.bandwidth),
               limits.Bucket(lambda: conf.migration.backend_bandwidth)]
    assert [bucket.take(100) + bucket.take(1) for bucket in buckets] == [0, 0]

    path.write_text('[migration]\nconcurrent = 2\nbandwidth = 10\nbackend_bandwidth = 20\n')
    conf.mutate_config_files()

    with places.place('a', lambda: True), places.place('b', lambda: True):
        waits = [bucket.take(100) + bucket.take(1) for bucket in buckets]
    # A moment's credit may have come together since.
    assert 9 < waits[0] <= 10
    assert 4.5 < waits[1] <= 5
