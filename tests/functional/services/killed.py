"""Runs the services of a configuration and kills the process when a file is about to get its name.

``killed.py CONFIGURATION NUMBER``: at the NUMBERth naming of a volume's or snapshot's file.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import signal
import sys
import threading
import time

from cinder_ext.conf import options
from cinder_ext.db import session
from cinder_ext.rpc import transport
from cinder_ext.scheduler.manager import SchedulerService
from cinder_ext.volume.manager import VolumeServices

LONGEST_SECONDS = 60


class Namings:
    """os.link that kills this process instead of the last call that it lets come.

    One at a time: those before the last one have been done then.
    """

    def __init__(self, last):
        self._left = last
        self._link = os.link
        self._lock = threading.Lock()

    def __call__(self, source, target, **more):
        with self._lock:
            if str(target).endswith('.raw'):
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return self._link(source, target, **more)


def main():
    conf = options.new()
    options.parse(conf, ['--config-file', sys.argv[1]])
    session.configure(conf)
    transport.init(conf, 'local:///killed')
    os.link = Namings(int(sys.argv[2]))
    SchedulerService(conf).start()
    VolumeServices(conf).start()
    time.sleep(LONGEST_SECONDS)


if __name__ == '__main__':
    main()
