# Shell functions that make a checkout runnable; sourced by run-tests.sh and quickstart.sh.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$checkout/.venv
# Debian keeps mkfs and debugfs out of the PATH of ordinary users.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

stop() { # stop MESSAGE...: say why and end
    printf '%s\n' "$@" >&2
    exit 1
}

find_python() { # print the newest Python from 3.11 on
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

as_root() { # run a command as root; fail when there is no way
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        return 1
    fi
}

# need_packages COMMAND=PACKAGE...: install the packages whose command is missing.
# The word "venv" stands for a Python that can make virtual environments.
need_packages() {
    local pair missing=()
    for pair in "$@"; do
        if [ "${pair%%=*}" = venv ]; then
            "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=("${pair#*=}")
        elif ! command -v "${pair%%=*}" >/dev/null; then
            missing+=("${pair#*=}")
        fi
    done
    [ ${#missing[@]} = 0 ] && return
    local words="apt-get install -y ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        stop "These Debian packages are missing, and there is no apt-get here: ${missing[*]}"
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        stop "Not root, and there is no sudo.  Let an administrator run:" "    $words"
    fi
    echo "Installing: ${missing[*]}"
    local quiet=(env DEBIAN_FRONTEND=noninteractive)
    if ! { as_root "${quiet[@]}" apt-get update -q >/dev/null &&
           as_root "${quiet[@]}" apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${missing[@]}" \
               >/dev/null; }; then
        stop "The packages could not be installed.  As root, run:" "    apt-get update" "    $words"
    fi
}

# make_venv EXTRA...: .venv with the package and the first of the extras.  A virtual environment
# that was made for any of them from the same setup.cfg is used as it is.
make_venv() {
    local extra wanted
    wanted=$(cat "$checkout/setup.cfg" "$checkout/pyproject.toml" | sha256sum | cut -d' ' -f1)
    if "$venv/bin/python" -c '' 2>/dev/null; then
        for extra in "$@"; do
            if [ "$(cat "$venv/.prepared-$extra" 2>/dev/null)" = "$wanted" ]; then
                return
            fi
        done
    else
        rm -rf "$venv"
        "$python" -m venv "$venv" || stop "No virtual environment could be made in $venv."
    fi
    echo "Installing cinder-ext[$1] and what it needs into $venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -e "$checkout[$1]" ||
        stop "pip could not install the package; what it said stands above."
    echo "$wanted" >"$venv/.prepared-$1"
}

python=$(find_python) || stop 'Python 3.11 or newer is missing.  As root, run:' \
    '    apt-get install -y python3 python3-venv'
