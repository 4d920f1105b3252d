"""The whole run, from environments to counts; tools/tempest.sh says what it does."""
# SPDX-License-Identifier: Apache-2.0

import argparse
import contextlib
import fcntl
import itertools
import json
import re
import shutil
import signal
import sys
import time

import beside
import cloud
import daemons
import environments
import identity
import proofs
import servers
import suite
import verdict

STATE = environments.CACHE / 'run'
RESULTS = STATE / 'results.json'


def start(running):
    """A cloud whose only services are ours.

    :returns: (identity.Keystone, cloud.Cloud, beside.Beside)
    """
    found = servers.Servers(running)
    found.create(running, environments.python_of('keystone'), 'keystone', 'cinder', 'flows')
    keystone = identity.Keystone(running, STATE / 'keystone', found.database('keystone'),
                                 found.memcached)
    keystone.start()
    block_storage = cloud.Cloud(running, STATE / 'cinder', keystone, found)
    block_storage.register()
    others = beside.Beside(running)
    others.register(keystone)
    block_storage.start()
    return keystone, block_storage, others


def note(found):
    """Print each result as it comes.

    :returns: all results
    """
    results = []
    for result in found:
        results.append(result)
        print(f"{result['outcome']:8} {result['seconds']:6.1f} s  {result['id']}", flush=True)
        if result['outcome'] == 'failed':
            print(result['text'], flush=True)
    return results


def parse(argv):
    parser = argparse.ArgumentParser(prog='tools/tempest.sh')
    parser.add_argument('--keep', action='store_true')
    parser.add_argument('--regex')
    parser.add_argument('--concurrency', type=int, default=2)
    return parser.parse_args(argv)


def run(options):
    """Everything, from nothing to the exit code."""
    began = time.monotonic()
    environments.prepare()
    shutil.rmtree(STATE, ignore_errors=True)
    with daemons.Daemons(STATE / 'logs') as running:
        keystone, block_storage, others = start(running)
        print(f'The cloud runs after {time.monotonic() - began:.0f} s.', flush=True)
        tests = suite.Suite(running, STATE / 'tempest', keystone)
        found = tests.run(options.regex or '', options.concurrency)
        required = suite.required()
        if options.regex:
            required = [each for each in required if re.search(options.regex, each)]
        else:
            found = itertools.chain(proofs.run(keystone, block_storage.url, others), found)
            required += proofs.names()
        results = note(found)
        RESULTS.write_text(json.dumps(results, indent=1))
        code = verdict.judge(results, required, proofs.PREFIX)
        print(f'It took {time.monotonic() - began:.0f} s.', flush=True)
        if options.keep:
            wait(keystone, block_storage)
    return code


def wait(keystone, block_storage):
    """Until Ctrl-C."""
    print(f'Keystone: {keystone.url}  user admin, project admin, password {keystone.admin_password}\n'
          f'Block storage: {block_storage.url}\nEverything stops with Ctrl-C.', flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def _interrupt(_number, _frame):
    raise KeyboardInterrupt


def main(argv):
    options = parse(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    environments.CACHE.mkdir(mode=0o700, exist_ok=True)
    with open(environments.CACHE / 'lock', 'w', encoding='ascii') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Another run uses .tempest/ at the moment.', file=sys.stderr)
            return 1
        try:
            return run(options)
        except KeyboardInterrupt:
            print('Interrupted.', file=sys.stderr)
            return 130
        except (environments.NotInstalled, daemons.Failed) as fault:
            print(fault, file=sys.stderr)
            return 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
