"""The launcher, in real processes that get real signals."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import signal
import subprocess
import sys
import threading
import time

import pytest

PROGRAM = '''
import signal
import sys
import threading
import time

from oslo_config import cfg

from cinder_ext.cmd import launcher


class Service:

    def __init__(self, name, fails_at='', hangs_at='', seconds=60):
        self.name = name
        self.fails_at = fails_at
        self.hangs_at = hangs_at
        self.seconds = seconds

    def _do(self, deed):
        print(deed, self.name, flush=True)
        if deed == self.hangs_at:
            threading.Event().wait(self.seconds)
        if deed == self.fails_at:
            raise ValueError(f'{self.name} cannot {deed}')

    def start(self):
        self._do('start')

    def stop(self):
        self._do('stop')

    def reload(self):
        self._do('reload')


class Crowd(Service):
    """Threads that always want to run Python, as the threads of a busy service do."""

    def start(self):
        for _ in range(3):
            threading.Thread(target=self.work, daemon=True).start()
        super().start()

    def work(self):
        while True:
            sum(range(200))


class Catcher(Service):
    """A thread takes the first signal, which the kernel may give to any of a process's."""

    def start(self):
        threading.Thread(target=self.catch, daemon=True).start()
        super().start()

    def catch(self):
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
        threading.Event().wait()


class Watcher(Service):

    def reload(self):
        print('rate', CONF.rate, flush=True)


CONF = cfg.ConfigOpts()
CONF.register_opt(cfg.IntOpt('rate', default=0, mutable=True))
CONF(sys.argv[1:], project='cinder_ext', default_config_dirs=[])
SERVICES = [%s]
code = launcher.Launcher(SERVICES, CONF, stop_timeout_seconds=%s).run()
print('returned', code, flush=True)
sys.exit(code)
'''


class Process:
    """The program, running; its lines are read one by one."""

    def __init__(self, popen, config):
        self._popen = popen
        self.config = config

    def line(self, within_seconds=30):
        """Its next line; empty, and the process is ended, when there is none in time."""
        watch = threading.Timer(within_seconds, self._popen.kill)
        watch.start()
        try:
            return self._popen.stdout.readline().rstrip('\n')
        finally:
            watch.cancel()

    def lines(self, count):
        return [self.line() for _ in range(count)]

    def send(self, signum):
        self._popen.send_signal(signum)

    def end(self, within_seconds=10):
        """The exit code, and what it printed since."""
        rest, _ = self._popen.communicate(timeout=within_seconds)
        return self._popen.returncode, rest.splitlines()


@pytest.fixture
def launch(tmp_path):
    with contextlib.ExitStack() as processes:

        def _launch(services, stop_timeout_seconds=30):
            config = tmp_path / 'test.conf'
            config.write_text('[DEFAULT]\nrate = 1\n')
            popen = processes.enter_context(subprocess.Popen(
                [sys.executable, '-c', PROGRAM % (services, stop_timeout_seconds),
                 '--config-file', str(config)],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
            processes.callback(popen.kill)
            return Process(popen, config)

        yield _launch


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT])
def test_ending_signal_stops_the_services_in_reverse_order(launch, signum):
    process = launch("Service('one'), Service('two'), Service('three')")
    assert process.lines(3) == ['start one', 'start two', 'start three']
    process.send(signum)
    assert process.end() == (0, ['stop three', 'stop two', 'stop one', 'returned 0'])


def test_hup_reads_the_options_again_and_reloads_each_service(launch):
    process = launch("Service('one'), Watcher('two')")
    process.lines(2)
    process.config.write_text('[DEFAULT]\nrate = 7\n')
    process.send(signal.SIGHUP)
    assert process.lines(2) == ['reload one', 'rate 7']
    process.send(signal.SIGTERM)
    assert process.end() == (0, ['stop two', 'stop one', 'returned 0'])


def test_no_hup_is_lost_on_a_busy_process(launch):
    """Each comes at any moment of the wait's beginning, and is waited for before the next."""
    process = launch("Crowd('one')")
    process.line()
    for number in range(60):
        process.send(signal.SIGHUP)
        assert process.line(within_seconds=20) == 'reload one', number
    process.send(signal.SIGTERM)
    assert process.end() == (0, ['stop one', 'returned 0'])


def test_hup_that_another_thread_takes_reloads_the_services(launch):
    process = launch("Catcher('one')")
    assert process.line() == 'start one'
    assert process.line(within_seconds=20) == 'reload one'


def test_former_receiver_of_wake_ups_gets_them_again():
    code = (
        'import os, signal\n'
        'from cinder_ext.cmd import launcher\n'
        'class Ended:\n'
        '    def start(self): os.kill(os.getpid(), signal.SIGTERM)\n'
        '    def stop(self): pass\n'
        'reads, writes = os.pipe()\n'
        'os.set_blocking(writes, False)\n'
        'signal.set_wakeup_fd(writes)\n'
        'launcher.Launcher([Ended()]).run()\n'
        'assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n'
        'print(signal.set_wakeup_fd(-1) == writes)\n')
    done = subprocess.run([sys.executable, '-c', code], check=False, capture_output=True,
                          text=True, timeout=30)
    assert done.stdout == 'True\n', done.stderr


def test_failed_reload_leaves_the_services_running(launch):
    process = launch("Service('one', fails_at='reload')")
    process.line()
    for _ in range(2):
        process.send(signal.SIGHUP)
        assert process.line() == 'reload one'
    process.send(signal.SIGTERM)
    assert process.end()[0] == 0


def test_broken_configuration_file_leaves_the_services_running(launch):
    process = launch("Watcher('one')")
    process.line()
    process.config.write_text('not = a [section\n')
    process.send(signal.SIGHUP)
    time.sleep(0.3)
    process.config.write_text('[DEFAULT]\nrate = 9\n')
    process.send(signal.SIGHUP)
    assert process.line() == 'rate 9'
    process.send(signal.SIGTERM)
    assert process.end()[0] == 0


def test_second_ending_signal_ends_the_process_at_once(launch):
    process = launch("Service('one', hangs_at='stop')")
    process.line()
    process.send(signal.SIGTERM)
    assert process.line() == 'stop one'
    process.send(signal.SIGTERM)
    assert process.end(within_seconds=5) == (128 + signal.SIGTERM, [])


def test_service_that_does_not_stop_in_time_is_left_behind(launch):
    process = launch("Service('one'), Service('two', hangs_at='stop')", stop_timeout_seconds=0.5)
    process.lines(2)
    process.send(signal.SIGTERM)
    assert process.end(within_seconds=5) == (1, ['stop two'])


def test_failed_start_stops_what_has_started(launch):
    process = launch("Service('one'), Service('two', fails_at='start'), Service('three')")
    assert process.end() == (1, ['start one', 'start two', 'stop one'])


def test_failed_stop_does_not_keep_the_others_from_stopping(launch):
    process = launch("Service('one'), Service('two', fails_at='stop')")
    process.lines(2)
    process.send(signal.SIGTERM)
    assert process.end() == (1, ['stop two', 'stop one'])


def test_ending_signal_during_the_start_takes_effect_after_it(launch):
    process = launch("Service('one', hangs_at='start', seconds=0.5), Service('two')")
    assert process.line() == 'start one'
    process.send(signal.SIGTERM)
    assert process.end() == (0, ['start two', 'stop two', 'stop one', 'returned 0'])


def test_second_ending_signal_ends_a_start_that_hangs(launch):
    process = launch("Service('one', hangs_at='start')")
    assert process.line() == 'start one'
    process.send(signal.SIGTERM)
    time.sleep(0.2)
    process.send(signal.SIGINT)
    assert process.end(within_seconds=5) == (128 + signal.SIGINT, [])
