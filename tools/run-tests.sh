#!/bin/bash
# Install what the tests need, and run them.
# SPDX-License-Identifier: Apache-2.0
set -eu

usage() {
    cat <<'TEXT'
Usage: tools/run-tests.sh [--long] [PYTEST ARGUMENT ...]

Makes .venv in the checkout when it is not there, installs missing Debian packages (as root or
with sudo) and runs pytest, with the style and the import rules among its tests.

  --long   the long variants too: more kills, bigger volumes
  --help   this text

All else is for pytest, for instance:  tools/run-tests.sh tests/unit -k copy
Two processes run the tests (-n 2) unless the arguments say -n themselves.
TEXT
}

long=()
rest=()
processes=(-n 2)
for word in "$@"; do
    case $word in
        --help | -h) usage; exit ;;
        --long) long=(--long); export CINDER_EXT_LONG=1 ;;
        -n | -n[0-9]* | --numprocesses*) processes=(); rest+=("$word") ;;
        *) rest+=("$word") ;;
    esac
done

. "$(dirname "$0")/prepare.sh"
need_packages venv=python3-venv qemu-img=qemu-utils mkfs.xfs=xfsprogs mkfs.ext4=e2fsprogs \
    fusermount3=fuse3 uwsgi_python3=uwsgi-plugin-python3
make_venv test
cd "$checkout"
exec "$venv/bin/python" -m pytest ${processes[@]+"${processes[@]}"} ${long[@]+"${long[@]}"} \
    ${rest[@]+"${rest[@]}"}
