#!/bin/bash
# Private MariaDB, PostgreSQL, RabbitMQ and memcached for tests.
# SPDX-License-Identifier: Apache-2.0
set -eu
# The servers do not run as root, and read what is written here.
umask 022

usage() {
    cat <<'TEXT'
Usage: tools/services.sh start DIRECTORY [SERVER ...]
       tools/services.sh stop DIRECTORY
       tools/services.sh status DIRECTORY
       tools/services.sh run DIRECTORY [SERVER ...] -- COMMAND [ARGUMENT ...]

Starts servers of the distribution as private instances: their data lies below DIRECTORY, they
listen on free ports of 127.0.0.1, and they know nothing of systemd or of instances that run
already.  SERVER is mariadb, postgresql, rabbitmq or memcached; without a name all four are
started.  Missing Debian packages are installed (as root or with sudo) and not started.

  start   start those that do not run yet, and write DIRECTORY/services.env.  What is left of a
          server that died is used again.
  stop    stop all that were started for DIRECTORY.  Their data stays.
  status  say which run; 1 when one that was started does not
  run     start, run the command with the variables below, and stop, whatever happens
  --help  this text

services.env is for the shell (". DIRECTORY/services.env") and exports, for servers that run:

  MARIADB_URL_BASE, POSTGRESQL_URL_BASE   URLs without a database name, for "$BASE/name"; the
                                          user may create databases
  RABBIT_URL                              with the virtual host "/"; worker-0 ... worker-7 are
                                          there too, for tests that run side by side
  MEMCACHED                               127.0.0.1:port
  CINDER_EXT_TEST_DATABASE_URLS, CINDER_EXT_TEST_TRANSPORT_URLS
                                          what the tests of this project read

The databases are fast and not safe: nothing waits for the disk, so a loss of power may lose
them.  A killed server loses nothing.  When root starts them the servers run as nobody, so that
user must be able to enter DIRECTORY.
TEXT
}

PASSWORD=only-for-tests
SERVERS='mariadb postgresql rabbitmq memcached'
START_SECONDS=60
STOP_SECONDS=20

# Packages.  Their own instances stay off: a policy-rc.d forbids the start for the time of the
# installation, where there is none.

for_server() { # the COMMAND=PACKAGE words of a server
    case $1 in
        mariadb) echo mariadbd=mariadb-server-core my_print_defaults=mariadb-client ;;
        postgresql) echo initdb=postgresql ;;
        rabbitmq) echo rabbitmq-server=rabbitmq-server ;;
        memcached) echo memcached=memcached ;;
    esac
}

add_postgresql_to_path() { # Debian keeps the binaries of each version outside of PATH
    local found
    for found in /usr/lib/postgresql/*/bin; do
        PATH=$found:$PATH
    done
}

install_servers() { # SERVER...
    local server pair pairs=() missing=0
    add_postgresql_to_path
    for server in "$@"; do
        for pair in $(for_server "$server"); do
            pairs+=("$pair")
            command -v "${pair%%=*}" >/dev/null || missing=1
        done
    done
    [ $missing = 1 ] || return 0
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
        # shellcheck disable=SC2064
        trap "as_root rm -f $policy" EXIT
    fi
    need_packages setpriv=util-linux pgrep=procps "${pairs[@]}"
    if [ "$(trap -p EXIT)" ]; then
        as_root rm -f $policy
        trap - EXIT
    fi
    add_postgresql_to_path
}

# Processes

# What runs a command as nobody when we are root, and as ourselves otherwise.
unprivileged=(env)
[ "$(id -u)" != 0 ] || unprivileged=(setpriv --reuid nobody --regid nogroup --clear-groups)

began_at() { # PID: the moment a process began, which tells it from a later one of the same number
    local fields
    fields=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
    # shellcheck disable=SC2086
    set -- $fields
    [ "${1:-Z}" = Z ] || echo "${20}"
}

note_process() { # SERVER PID
    echo "$2 $(began_at "$2")" >"$directory/$1/process"
}

pid_of() { # SERVER: print its process; fail when it does not run
    local pid began
    read -r pid began 2>/dev/null <"$directory/$1/process" || return 1
    [ "$began" ] && [ "$(began_at "$pid")" = "$began" ] && echo "$pid"
}

kill_rest() { # SERVER: end those of its processes that outlived the first one
    local first rest
    read -r first rest 2>/dev/null <"$directory/$1/process" || return 0
    # The number may belong to somebody else by now, the directory cannot.
    for rest in $(pgrep -g "$first" -f -- "$directory/$1/"); do
        kill -KILL "$rest" 2>/dev/null || true
    done
    [ "$1" != rabbitmq ] || stop_epmd
    rm -f "$directory/$1"/{env,process}
}

launch() { # SERVER COMMAND...: run it detached from the terminal, its output in SERVER/console.log
    local server=$1
    shift
    (
        cd "$directory/$server"
        exec "${unprivileged[@]}" setsid "$@" >>console.log 2>&1 </dev/null
    ) &
    note_process "$server" $!
}

free_ports() { # COUNT: ports below those that the kernel gives to clients
    "$python" - "$1" <<'PYTHON'
import contextlib, random, socket, sys

with contextlib.ExitStack() as held:
    found = []
    while len(found) < int(sys.argv[1]):
        probe = held.enter_context(socket.socket())
        with contextlib.suppress(OSError):
            probe.bind(('127.0.0.1', random.randrange(15000, 32000)))
            found.append(probe.getsockname()[1])
print(*found)
PYTHON
}

await() { # SERVER COMMAND...: until the command succeeds
    local server=$1 deadline=$((SECONDS + START_SECONDS))
    shift
    until "$@" 2>/dev/null; do
        if ! pid_of "$server" >/dev/null || [ $SECONDS -ge $deadline ]; then
            echo "$server did not start; the end of $directory/$server/console.log:" >&2
            tail -n 20 "$directory/$server/console.log" >&2
            return 1
        fi
        sleep 0.1
    done
}

answers() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

says() { # PORT SERVER TEXT: the server's log has the text and the port answers
    grep -q "$3" "$directory/$2"/console.log && answers "$1"
}

# The servers.  Each writes what it exports to SERVER/env when it answers.

start_mariadb() { # PORT
    local port=$1 home=$directory/mariadb
    if [ ! -e "$home/data/.made" ]; then
        rm -rf "$home/data"
        # A plain password for root, and no wait for the disk: this is a third of the time.
        "${unprivileged[@]}" mariadb-install-db --no-defaults --datadir="$home/data" --skip-test-db \
            --auth-root-authentication-method=normal --innodb-flush-log-at-trx-commit=0 \
            --innodb-flush-method=nosync --skip-name-resolve >"$home/install.log" 2>&1
        "${unprivileged[@]}" touch "$home/data/.made"
    fi
    # Where a user exists the statements change nothing.
    cat >"$home/init.sql" <<SQL
CREATE USER IF NOT EXISTS 'cinder'@'127.0.0.1' IDENTIFIED BY '$PASSWORD';
GRANT ALL ON *.* TO 'cinder'@'127.0.0.1' WITH GRANT OPTION;
DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';
CREATE DATABASE IF NOT EXISTS cinder_ext;
SQL
    : >"$home/console.log"
    launch mariadb mariadbd --no-defaults --datadir="$home/data" --bind-address=127.0.0.1 \
        --port="$port" --socket="$home/data/socket" --pid-file="$home/data/pid" \
        --init-file="$home/init.sql" --skip-name-resolve --max-connections=500 \
        --innodb-flush-log-at-trx-commit=2 --innodb-buffer-pool-size=128M \
        --innodb-log-file-size=64M --performance-schema=OFF
    await mariadb says "$port" mariadb 'ready for connections'
    local base=mysql+pymysql://cinder:$PASSWORD@127.0.0.1:$port
    printf 'export MARIADB_URL_BASE=%s\n' "$base" >"$home/env"
}

start_postgresql() { # PORT
    local port=$1 home=$directory/postgresql
    if [ ! -e "$home/data/.made" ]; then
        rm -rf "$home/data"
        echo "$PASSWORD" >"$home/password"
        chmod 644 "$home/password"
        "${unprivileged[@]}" env LC_ALL=C initdb --no-sync -D "$home/data" -U cinder -E UTF8 --locale=C.UTF-8 \
            -A scram-sha-256 --pwfile="$home/password" >"$home/install.log" 2>&1
        "${unprivileged[@]}" touch "$home/data/.made"
    fi
    rm -f "$home/data/postmaster.pid"
    : >"$home/console.log"
    launch postgresql postgres -D "$home/data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c max_connections=300 -c fsync=off \
        -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB
    await postgresql says "$port" postgresql 'ready to accept connections'
    if [ ! -e "$home/data/.database" ]; then
        PGPASSWORD=$PASSWORD psql -q -h 127.0.0.1 -p "$port" -U cinder -d postgres \
            -c 'CREATE DATABASE cinder_ext' >>"$home/install.log" 2>&1
        "${unprivileged[@]}" touch "$home/data/.database"
    fi
    local base=postgresql+psycopg://cinder:$PASSWORD@127.0.0.1:$port
    printf 'export POSTGRESQL_URL_BASE=%s\n' "$base" >"$home/env"
}

rabbitmq_definitions() { # a user and virtual hosts, as RabbitMQ imports them
    "$python" - "$PASSWORD" <<'PYTHON'
import base64, hashlib, json, sys

salt = b'test'
digest = hashlib.sha256(salt + sys.argv[1].encode()).digest()
vhosts = ['/', *(f'worker-{number}' for number in range(8))]
print(json.dumps({
    'users': [{'name': 'cinder', 'tags': 'administrator',
               'hashing_algorithm': 'rabbit_password_hashing_sha256',
               'password_hash': base64.b64encode(salt + digest).decode()}],
    'vhosts': [{'name': name} for name in vhosts],
    'permissions': [{'user': 'cinder', 'vhost': name, 'configure': '.*', 'write': '.*',
                     'read': '.*'} for name in vhosts]}))
PYTHON
}

start_rabbitmq() { # PORT DISTRIBUTION_PORT EPMD_PORT
    local port=$1 home=$directory/rabbitmq
    rabbitmq_definitions >"$home/definitions.json"
    # Queues die with their node's name, so the name never changes.
    cat >"$home/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$port
definitions.import_backend = local_filesystem
definitions.local.path = $home/definitions.json
log.console = true
log.console.level = info
log.file = false
disk_free_limit.absolute = 50MB
CONF
    echo '[].' >"$home/plugins"
    : >"$home/console.log"
    # Wall clock shared with others: schedulers do not spin while they wait (+sbwt none).
    launch rabbitmq env -i PATH="$PATH" HOME="$home/data" LANG=C.UTF-8 \
        ERL_EPMD_PORT="$3" ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_NODENAME=cinder_ext@localhost RABBITMQ_DIST_PORT="$2" \
        RABBITMQ_CONF_ENV_FILE="$home/none" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$home/none" RABBITMQ_ENABLED_PLUGINS_FILE="$home/plugins" \
        RABBITMQ_MNESIA_BASE="$home/data/mnesia" RABBITMQ_LOG_BASE="$home/data/log" \
        RABBITMQ_PID_FILE="$home/data/pid" RABBITMQ_LOGS=- \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none' \
        /usr/lib/rabbitmq/bin/rabbitmq-server
    echo "$3" >"$home/epmd-port"
    await rabbitmq says "$port" rabbitmq 'Server startup complete'
    printf 'export RABBIT_URL=rabbit://cinder:%s@127.0.0.1:%s/\n' "$PASSWORD" "$port" >"$home/env"
}

start_memcached() { # PORT
    launch memcached memcached -l 127.0.0.1 -p "$1" -U 0 -m 64
    await memcached answers "$1"
    printf 'export MEMCACHED=127.0.0.1:%s\n' "$1" >"$directory/memcached/env"
}

write_environment() { # gather what runs
    local server
    {
        for server in $SERVERS; do
            pid_of "$server" >/dev/null && cat "$directory/$server/env"
        done
        cat <<'TEXT'
CINDER_EXT_TEST_DATABASE_URLS=${MARIADB_URL_BASE:+$MARIADB_URL_BASE/cinder_ext}
CINDER_EXT_TEST_DATABASE_URLS=$CINDER_EXT_TEST_DATABASE_URLS${POSTGRESQL_URL_BASE:+,$POSTGRESQL_URL_BASE/cinder_ext}
export CINDER_EXT_TEST_DATABASE_URLS CINDER_EXT_TEST_TRANSPORT_URLS=${RABBIT_URL:-}
TEXT
    } >"$directory/services.env.new"
    mv "$directory/services.env.new" "$directory/services.env"
}

start() { # SERVER...
    local server ports starting=() failed=0
    install_servers "$@"
    for server in "$@"; do
        pid_of "$server" >/dev/null && continue
        mkdir -p "$directory/$server"
        kill_rest "$server"
        [ "$(id -u)" != 0 ] || chown nobody:nogroup "$directory/$server"
        "${unprivileged[@]}" test -w "$directory/$server" ||
            stop "The user nobody cannot enter $directory; use another directory, or chmod it."
        [ "$server" != rabbitmq ] || "${unprivileged[@]}" mkdir -p "$directory/rabbitmq/data"
        # shellcheck disable=SC2046
        set -- $(free_ports 3)
        "start_$server" "$@" &
        starting+=($!)
    done
    for server in ${starting[@]+"${starting[@]}"}; do
        wait "$server" || failed=1
    done
    write_environment
    if [ $failed = 1 ]; then
        stop_all
        return 1
    fi
}

stop_all() {
    local server pid deadline=$((SECONDS + STOP_SECONDS))
    for server in $SERVERS; do
        pid=$(pid_of "$server") || continue
        # An interrupt is PostgreSQL's word for an end that does not wait for its clients.
        if [ "$server" = postgresql ]; then kill -INT "$pid"; else kill -TERM "$pid"; fi
    done
    for server in $SERVERS; do
        while pid=$(pid_of "$server"); do
            if [ $SECONDS -ge $deadline ]; then
                echo "$server does not stop; it is killed." >&2
                kill -KILL "$pid" 2>/dev/null || true
                break
            fi
            sleep 0.1
        done
        kill_rest "$server"
    done
    write_environment
}

stop_epmd() { # Erlang's name server outlives RabbitMQ
    [ -e "$directory/rabbitmq/epmd-port" ] || return 0
    ERL_EPMD_PORT=$(cat "$directory/rabbitmq/epmd-port") epmd -kill >/dev/null 2>&1 || true
    rm -f "$directory/rabbitmq/epmd-port"
}

status() {
    local server pid code=0
    for server in $SERVERS; do
        if pid=$(pid_of "$server"); then
            echo "$server: process $pid, $(cat "$directory/$server/env" 2>/dev/null)"
        elif [ -e "$directory/$server/process" ]; then
            echo "$server: died"
            code=1
        fi
    done
    return $code
}

run() { # SERVER... -- COMMAND...
    local servers=() code=0
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        servers+=("$1")
        shift
    done
    [ $# -gt 1 ] || stop 'There is no command after "--".'
    shift
    trap stop_all EXIT
    # Ctrl-C goes to the command too; what it answers to it is what we answer.
    trap : INT
    trap 'kill -TERM $!' TERM
    # shellcheck disable=SC2086
    start ${servers[@]:-$SERVERS}
    . "$directory/services.env"
    # What runs in the background would not hear Ctrl-C, and would read nothing.
    env --default-signal=INT "$@" <&0 &
    while kill -0 $! 2>/dev/null; do
        code=0
        wait $! || code=$?
    done
    return $code
}

[ $# -gt 0 ] || { usage >&2; exit 2; }
verb=$1
case $verb in
    --help | -h) usage; exit ;;
    start | stop | status | run) [ $# -gt 1 ] || { usage >&2; exit 2; } ;;
    *) usage >&2; exit 2 ;;
esac
. "$(dirname "$0")/prepare.sh"
mkdir -p "$2"
directory=$(cd "$2" && pwd)
shift 2
for word in "$@"; do
    [ "$word" != -- ] || break
    case " $SERVERS " in
        *" $word "*) ;;
        *) stop "There is no server $word; there are $SERVERS." ;;
    esac
done
case $verb in
    # shellcheck disable=SC2086
    start) start ${@:-$SERVERS} ;;
    stop) stop_all ;;
    status) status ;;
    run) run "$@" ;;
esac
