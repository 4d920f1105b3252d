"""A process that makes snapshots of a volume and volumes of them, as services of one backend do.

``maker.py OPTIONS FIRST END``: options of the file driver as JSON, and a range of numbers.  With
an empty range it starts the driver again and again, until its standard input ends.
"""
# SPDX-License-Identifier: Apache-2.0

import json
import select
import sys
import uuid

from oslo_concurrency import lockutils

from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import workbench

VOLUME = values.Volume('origin', values.MIB)


def made(number):
    """What has a number: processes that know it make the same."""
    names = [str(uuid.uuid5(uuid.NAMESPACE_OID, f'{kind} {number}'))
             for kind in ('snapshot', 'volume')]
    return (values.Snapshot(names[0], VOLUME.name_id, VOLUME.size_bytes),
            values.Volume(names[1], VOLUME.size_bytes))


def main():
    options, numbers = json.loads(sys.argv[1]), range(int(sys.argv[2]), int(sys.argv[3]))
    lockutils.set_defaults(options['file_path'])
    driver = workbench.started('file', **options)
    print('started', flush=True)
    for number in numbers:
        snapshot, volume = made(number)
        driver.create_snapshot(snapshot)
        driver.create_volume_from_snapshot(volume, snapshot)
    while not numbers and not select.select([sys.stdin], [], [], 0)[0]:
        driver.start()


if __name__ == '__main__':
    main()
