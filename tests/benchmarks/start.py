"""Measures the embedded service: first answer after exec, memory and processor time when idle.

    python tests/benchmarks/start.py [--idle-seconds 30] [--starts 3]
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

CONFIGURATION = """
[DEFAULT]
state_path = {directory}
log_file = {directory}/log
auth_strategy = noauth
enabled_backends = alpha,beta
[api]
port = {port}
[alpha]
file_path = {directory}/alpha
[beta]
file_path = {directory}/beta
"""
CODE = 'import sys; from cinder_ext.cmd.all import main; sys.exit(main())'
SETTLE_SECONDS = 10


def resident_mib(pid):
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmRSS'):
            return int(line.split()[1]) / 1024
    raise ValueError(f'process {pid} has no memory')


def processor_seconds(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def start(file, port):
    """(process, seconds from exec to the first answer)"""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, '-c', CODE, '--config-file', str(file)])
    while True:
        try:
            urllib.request.urlopen(f'http://127.0.0.1:{port}/v3/', timeout=5).read()
            return process, time.monotonic() - began
        except OSError:
            if process.poll() is not None:
                raise SystemExit('the service has ended')
            time.sleep(0.005)


def stop(process):
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    return code, time.monotonic() - began


def idle(pid, seconds):
    """(percent of a core, MiB resident)"""
    time.sleep(SETTLE_SECONDS)
    before, began = processor_seconds(pid), time.monotonic()
    time.sleep(seconds)
    share = (processor_seconds(pid) - before) / (time.monotonic() - began)
    return share * 100, resident_mib(pid)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--idle-seconds', type=int, default=30)
    parser.add_argument('--starts', type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
        probe.close()
        directory = pathlib.Path(name)
        for backend in ('alpha', 'beta'):
            (directory / backend).mkdir()
        file = directory / 'cinder-ext.conf'
        file.write_text(CONFIGURATION.format(directory=directory, port=port))
        for number in range(arguments.starts + 1):
            process, seconds = start(file, port)
            kind = 'new database' if number == 0 else 'state exists'
            used = processor_seconds(process.pid)
            print(f'first answer after {seconds:.2f} s ({kind}, {used:.2f} s of processor)')
            if number == arguments.starts:
                share, mib = idle(process.pid, arguments.idle_seconds)
                print(f'idle: {share:.2f} % of a core, {mib:.0f} MiB resident')
            code, seconds = stop(process)
            print(f'stopped after {seconds:.2f} s, exit code {code}')


if __name__ == '__main__':
    main()
