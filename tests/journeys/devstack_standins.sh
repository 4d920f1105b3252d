#!/usr/bin/env bash
# shellcheck disable=SC2034
# The functions and variables of DevStack that the plugin uses, small and real: files are written,
# processes run.  What would need a cloud is only recorded, one call a line, in $STANDINS/calls.
#
# Usage: devstack_standins.sh PHASE...   with PHASE "stack install", "unstack" ...
# The environment names STANDINS (a directory), CHECKOUT, PYTHON, PORT and SERVICES.
#
# SPDX-License-Identifier: Apache-2.0

set -euo pipefail

DEST=$STANDINS/dest
DATA_DIR=$STANDINS/data
STACK_USER=$(id -un)
SERVICE_HOST=127.0.0.1
SERVICE_PROTOCOL=http
SERVICE_LISTEN_ADDRESS=127.0.0.1
SERVICE_TIMEOUT=60
REGION_NAME=RegionOne
ENABLE_DEBUG_LOG_LEVEL=True
NOVA_CONF=$STANDINS/nova.conf
TEMPEST_CONFIG=$STANDINS/tempest.conf
CINDER_EXT_DIR=$CHECKOUT
CINDER_EXT_CONF_DIR=$STANDINS/etc
CINDER_EXT_SERVICE_PORT=$PORT

function _record {
    echo "$*" >> "$STANDINS/calls"
}

function define_plugin {
    _record define_plugin "$@"
}

function echo_summary {
    _record echo_summary "$@"
}

function die {
    echo "line $1: $2" >&2
    exit 1
}

function trueorfalse {
    case ${!2:-} in
        1 | [Tt]rue | [Yy]es) echo True ;;
        0 | [Ff]alse | [Nn]o) echo False ;;
        *) echo "$1" ;;
    esac
}

function sudo {
    "$@"
}

function is_service_enabled {
    [[ " $SERVICES " == *" $1 "* ]]
}

function enable_service {
    # What the test names is enabled; the plugin's defaults are only recorded.
    _record enable_service "$@"
}

function disable_service {
    _record disable_service "$@"
}

function get_python_exec_prefix {
    echo "$STANDINS/bin"
}

# The console scripts of a checkout, as an editable installation makes them.
function setup_develop {
    local name module function
    _record setup_develop "$@"
    mkdir -p "$STANDINS/bin"
    sed -n 's/^ *\(cinder-ext-[a-z]*\) = \([a-z_.]*\):\([a-z]*\)$/\1 \2 \3/p' "$1/setup.cfg" |
        while read -r name module function; do
            cat > "$STANDINS/bin/$name" << END
#!/bin/sh
PYTHONPATH='$1' exec '$PYTHON' -c \
    'import sys; from $module import $function as main; sys.argv[0] = "$name"; sys.exit(main())' "\$@"
END
            chmod +x "$STANDINS/bin/$name"
        done
}

function iniset {
    local file=$1 section=$2
    touch "$file"
    if ! grep -qxF "[$section]" "$file"; then
        printf '\n[%s]\n' "$section" >> "$file"
    fi
    awk -v section="[$section]" -v option="$3" -v value="$4" '
        /^\[/ { inside = 0 }
        inside && index($0, option " =") == 1 { next }
        { print }
        $0 == section { print option " = " value; inside = 1 }
    ' "$file" > "$file.new"
    cat "$file.new" > "$file"
    rm "$file.new"
}

function iniset_rpc_backend {
    iniset "$2" DEFAULT transport_url local://
}

function setup_logging {
    iniset "$1" DEFAULT log_file "$STANDINS/log"
}

function configure_keystone_authtoken_middleware {
    local section=${3:-keystone_authtoken}
    iniset "$1" "$section" auth_type password
    iniset "$1" "$section" auth_url http://127.0.0.1:1/identity
    iniset "$1" "$section" username "$2"
    iniset "$1" "$section" password secret
}

function database_connection_url {
    echo "sqlite:///$STANDINS/$1.db"
}

function recreate_database {
    rm -f "$STANDINS/$1.db"*
}

function create_service_user {
    _record create_service_user "$@"
}

function get_or_create_service {
    _record get_or_create_service "$@"
    echo service-id
}

function get_or_create_endpoint {
    _record get_or_create_endpoint "$@"
    echo endpoint-id
}

function openstack {
    _record openstack "$@"
    [[ $* != *" show "* ]]
}

function run_process {
    if is_service_enabled "$1"; then
        # The command is one word, as DevStack has it.
        # shellcheck disable=SC2086
        setsid $2 > "$STANDINS/$1.out" 2>&1 < /dev/null &
        echo $! > "$STANDINS/$1.pid"
    fi
}

function stop_process {
    local pid
    if [[ -f $STANDINS/$1.pid ]]; then
        pid=$(< "$STANDINS/$1.pid")
        kill "$pid" 2> /dev/null || true
        for _ in {1..300}; do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.1
        done
        rm "$STANDINS/$1.pid"
    fi
}

function wait_for_service {
    "$PYTHON" - "$@" << 'END'
import sys
import time
import urllib.error
import urllib.request

deadline = time.monotonic() + float(sys.argv[1])
while time.monotonic() < deadline:
    try:
        urllib.request.urlopen(sys.argv[2], timeout=5)
    except urllib.error.HTTPError:
        sys.exit(0)
    except OSError:
        time.sleep(0.1)
    else:
        sys.exit(0)
sys.exit(1)
END
}

# shellcheck source=devstack/settings
source "$CHECKOUT/devstack/settings"
for words in "$@"; do
    # shellcheck disable=SC2086
    set -- $words
    # shellcheck source=devstack/plugin.sh
    source "$CHECKOUT/devstack/plugin.sh" "$@"
done
