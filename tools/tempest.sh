#!/bin/bash
# Install Keystone and Tempest, start a cloud around this service, and run Tempest's volume tests.
# SPDX-License-Identifier: Apache-2.0
set -eu

usage() {
    cat <<'TEXT'
Usage: tools/tempest.sh [--keep] [--regex REGEX] [--concurrency N]

Installs Keystone and Tempest with the plugin for block storage from PyPI, each into a virtual
environment of its own below .tempest/; starts MariaDB, RabbitMQ and memcached
(tools/services.sh), Keystone, and API, scheduler and volume service of this checkout with two
backends; runs all of tempest.api.volume and cinder_tempest_plugin.api; stops everything.

Prints the counts.  Fails when a test failed, or when a test that must pass
(tools/tempest/required.txt) did not.

  --keep           leave the cloud running until Ctrl-C, and say how to reach it
  --regex REGEX    run only the tests whose id matches; the others are not required then
  --concurrency N  processes of Tempest (2)
  --help           this text

Logs, tempest.conf and results.json of the last run are in .tempest/run/.  Where CINDER_EXT_PYTHON
names a Python that has this package, that is used and no virtual environment is made for it.
TEXT
}

for word in "$@"; do
    case $word in
        --help | -h) usage; exit ;;
    esac
done

. "$(dirname "$0")/prepare.sh"
need_packages venv=python3-venv qemu-img=qemu-utils
[ -n "${CINDER_EXT_PYTHON:-}" ] || make_venv test
cd "$checkout"
exec "${CINDER_EXT_PYTHON:-$venv/bin/python}" "$checkout/tools/tempest/run.py" "$@"
