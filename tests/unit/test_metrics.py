"""What Prometheus reads."""
# SPDX-License-Identifier: Apache-2.0

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from cinder_ext import metrics
from cinder_ext.conf import options

WORKER = """
import sys, time
from cinder_ext import metrics
from cinder_ext.conf import options
conf = options.new()
options.parse(conf, [])
conf.set_override('port', int(sys.argv[1]), 'metrics')
metrics.RETRY_SECONDS = 0.1
service = metrics.MetricsService(conf)
service.start()
metrics.REQUESTS.labels('GET', '/volumes', 200).inc(int(sys.argv[2]))
print('ready', flush=True)
time.sleep(60)
"""


@pytest.fixture
def conf():
    made = options.new()
    options.parse(made, [])
    return made


def _read(port):
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=10) as answer:
        return answer.read().decode()


def test_without_a_port_nobody_listens(conf):
    service = metrics.MetricsService(conf)
    service.start()
    assert service.port is None
    service.stop()


def test_figures_are_read_from_the_port(conf):
    conf.set_override('port', 0, 'metrics')
    metrics.CAPACITY.labels('host@alpha#pool', 'free').set(1024)
    service = metrics.MetricsService(conf)
    service.start()
    try:
        assert ('cinder_ext_pool_bytes{pool="host@alpha#pool",what="free"} 1024.0'
                in _read(service.port))
    finally:
        service.stop()


def test_port_that_is_taken_is_had_when_it_is_free(conf, monkeypatch):
    monkeypatch.setattr(metrics, 'RETRY_SECONDS', 0.05)
    with socket.create_server(('127.0.0.1', 0)) as taken:
        conf.set_override('port', taken.getsockname()[1], 'metrics')
        service = metrics.MetricsService(conf)
        service.start()
        time.sleep(0.2)
        assert service.port is None
    deadline = time.monotonic() + 60
    while service.port is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert '# HELP' in _read(service.port)
    service.stop()


def test_figures_of_several_processes_are_summed_by_whichever_has_the_port(tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as found:
        port = found.getsockname()[1]
    environment = {**os.environ, 'PROMETHEUS_MULTIPROC_DIR': str(tmp_path)}
    workers = []
    try:
        for count in (2, 3):
            worker = subprocess.Popen([sys.executable, '-c', WORKER, str(port), str(count)],
                                      env=environment, stdout=subprocess.PIPE, text=True)
            workers.append(worker)
            assert worker.stdout.readline() == 'ready\n'
        wanted = 'cinder_ext_api_requests_total{code="200",method="GET",route="/volumes"} 5.0'
        assert wanted in _read(port)
        workers[0].kill()
        workers[0].wait()
        deadline, text = time.monotonic() + 60, ''
        while wanted not in text and time.monotonic() < deadline:
            time.sleep(0.05)
            try:
                text = _read(port)
            except OSError:
                continue
        assert wanted in text
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
