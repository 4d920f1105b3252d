#!/bin/bash
# Install what the tests need, and run them.
# SPDX-License-Identifier: Apache-2.0
set -eu

usage() {
    cat <<'TEXT'
Usage: tools/run-tests.sh [--long] [--embedded] [PYTEST ARGUMENT ...]

Makes .venv in the checkout when it is not there, installs missing Debian packages (as root or
with sudo), starts MariaDB, PostgreSQL, RabbitMQ and memcached of its own (tools/services.sh)
and runs pytest, with the style and the import rules among its tests.  The servers are stopped
and removed at the end.

  --long      the long variants too: more kills, bigger volumes
  --embedded  without the servers: SQLite and messages inside of the process alone
  --help      this text

Where CINDER_EXT_TEST_DATABASE_URLS or CINDER_EXT_TEST_TRANSPORT_URLS is set, those servers are
used and none are started.

All else is for pytest, for instance:  tools/run-tests.sh tests/unit -k copy
Two processes run the tests, a file at a time, unless the arguments say -n themselves.
TEXT
}

long=()
rest=()
processes=(-n 2 --dist loadfile --no-loadscope-reorder)
servers=1
[ -z "${CINDER_EXT_TEST_DATABASE_URLS:-}${CINDER_EXT_TEST_TRANSPORT_URLS:-}" ] || servers=0
for word in "$@"; do
    case $word in
        --help | -h) usage; exit ;;
        --embedded) servers=0 ;;
        --long) long=(--long); export CINDER_EXT_LONG=1 ;;
        -n | -n[0-9]* | --numprocesses*) processes=(); rest+=("$word") ;;
        *) rest+=("$word") ;;
    esac
done

. "$(dirname "$0")/prepare.sh"
need_packages venv=python3-venv qemu-img=qemu-utils mkfs.xfs=xfsprogs mkfs.ext4=e2fsprogs \
    fusermount3=fuse3 nbdfuse=libnbd-bin \
    qemu-storage-daemon=qemu-system-common qemu-system-x86_64=qemu-system-x86 \
    uwsgi_python3=uwsgi-plugin-python3
make_venv test
cd "$checkout"
tests=("$venv/bin/python" -m pytest ${processes[@]+"${processes[@]}"} ${long[@]+"${long[@]}"}
    ${rest[@]+"${rest[@]}"})
[ $servers = 1 ] || exec "${tests[@]}"
# The servers do not run as root and must be able to enter.
directory=$(mktemp -d "${TMPDIR:-/tmp}/cinder-ext-servers.XXXXXX")
chmod 711 "$directory"
code=0
tools/services.sh run "$directory" -- "${tests[@]}" || code=$?
rm -rf "$directory"
exit $code
