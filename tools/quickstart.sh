#!/bin/bash
# Install what is missing, start the embedded service and move a volume with its snapshots.
# SPDX-License-Identifier: Apache-2.0
set -eu

. "$(dirname "$0")/prepare.sh"
need_packages venv=python3-venv mkfs.ext4=e2fsprogs
make_venv osc test
exec "$venv/bin/python" "$checkout/tools/quickstart.py" "$@"
