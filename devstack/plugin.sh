#!/usr/bin/env bash
# shellcheck disable=SC2154
#
# DevStack runs cinder_ext in Cinder's place: sourced as "plugin.sh MODE [PHASE]".
#
# One function per word of DevStack's plugin interface; the variables are in devstack/settings,
# all others and the functions that are not defined here are DevStack's.
#
# SPDX-License-Identifier: Apache-2.0

# The restore at the end leaves DevStack's own tracing as it was.
_CINDER_EXT_XTRACE=$(set +o | grep xtrace)
set +o xtrace

# The URL of the API, as clients on other hosts see it.
function cinder_ext_url {
    echo "$CINDER_EXT_SERVICE_PROTOCOL://$CINDER_EXT_SERVICE_HOST:$CINDER_EXT_SERVICE_PORT"
}

# Whether one of our services runs on this host.
function is_cinder_ext_enabled {
    is_service_enabled cext-api || is_service_enabled cext-sch || is_service_enabled cext-vol
}

# A directory of the user under whom DevStack runs.
function _cinder_ext_directory {
    sudo install -d -m 0750 -o "$STACK_USER" "$1"
}

# The names of the backends, one a line.
function _cinder_ext_backends {
    tr ',' '\n' <<< "$CINDER_EXT_ENABLED_BACKENDS" | sed '/^$/d'
}

function install_cinder_ext {
    setup_develop "$CINDER_EXT_DIR"
}

# Writes the whole configuration anew: what an earlier run has left does not count.
function configure_cinder_ext {
    _cinder_ext_directory "$CINDER_EXT_CONF_DIR"
    _cinder_ext_directory "$CINDER_EXT_STATE_PATH"
    rm -f "$CINDER_EXT_CONF"
    install -m 0640 /dev/null "$CINDER_EXT_CONF"

    iniset "$CINDER_EXT_CONF" DEFAULT state_path "$CINDER_EXT_STATE_PATH"
    iniset "$CINDER_EXT_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$CINDER_EXT_CONF" DEFAULT auth_strategy keystone
    iniset "$CINDER_EXT_CONF" DEFAULT default_volume_type "$CINDER_EXT_DEFAULT_VOLUME_TYPE"
    iniset "$CINDER_EXT_CONF" DEFAULT enabled_backends "$CINDER_EXT_ENABLED_BACKENDS"
    iniset "$CINDER_EXT_CONF" api listen "$CINDER_EXT_LISTEN"
    iniset "$CINDER_EXT_CONF" api port "$CINDER_EXT_SERVICE_PORT"
    iniset "$CINDER_EXT_CONF" api public_endpoint "$(cinder_ext_url)"
    iniset "$CINDER_EXT_CONF" oslo_concurrency lock_path "$CINDER_EXT_STATE_PATH/locks"
    iniset "$CINDER_EXT_CONF" database connection "$(database_connection_url "$CINDER_EXT_DATABASE")"
    iniset_rpc_backend cinder_ext "$CINDER_EXT_CONF"
    configure_keystone_authtoken_middleware "$CINDER_EXT_CONF" "$CINDER_EXT_SERVICE_USER"
    setup_logging "$CINDER_EXT_CONF"

    local backend
    for backend in $(_cinder_ext_backends); do
        _cinder_ext_configure_backend "$backend"
    done
    if is_service_enabled nova; then
        _cinder_ext_configure_nova
    fi
}

function _cinder_ext_configure_backend {
    _cinder_ext_directory "$CINDER_EXT_BACKEND_DIR/$1"
    iniset "$CINDER_EXT_CONF" "$1" volume_driver file
    iniset "$CINDER_EXT_CONF" "$1" volume_backend_name "$1"
    iniset "$CINDER_EXT_CONF" "$1" file_path "$CINDER_EXT_BACKEND_DIR/$1"
    if [[ ,$CINDER_EXT_REPLICATED_BACKENDS, == *,$1,* ]]; then
        _cinder_ext_directory "$CINDER_EXT_BACKEND_DIR/$1-remote"
        iniset "$CINDER_EXT_CONF" "$1" replication_device \
            "backend_id:$1-remote,path:$CINDER_EXT_BACKEND_DIR/$1-remote,modes:async"
    fi
}

# Nova looks for volumes under the first type of the endpoint.
function _cinder_ext_configure_nova {
    iniset "$NOVA_CONF" cinder os_region_name "$REGION_NAME"
    iniset "$NOVA_CONF" cinder catalog_info "${CINDER_EXT_SERVICE_TYPES%%,*}::publicURL"
    configure_keystone_authtoken_middleware "$NOVA_CONF" nova cinder
}

function create_cinder_ext_accounts {
    local type
    create_service_user "$CINDER_EXT_SERVICE_USER" admin
    for type in ${CINDER_EXT_SERVICE_TYPES//,/ }; do
        get_or_create_service cinder "$type" "Block storage" > /dev/null
        get_or_create_endpoint "$type" "$REGION_NAME" "$(cinder_ext_url)/v3" > /dev/null
    done
}

function init_cinder_ext {
    recreate_database "$CINDER_EXT_DATABASE"
    "$CINDER_EXT_BIN_DIR/cinder-ext-manage" --config-file "$CINDER_EXT_CONF" db sync
}

function start_cinder_ext {
    local config="--config-file $CINDER_EXT_CONF"
    run_process cext-api "$CINDER_EXT_BIN_DIR/cinder-ext-api $config"
    run_process cext-sch "$CINDER_EXT_BIN_DIR/cinder-ext-scheduler $config"
    run_process cext-vol "$CINDER_EXT_BIN_DIR/cinder-ext-volume $config"
    if is_service_enabled cext-api; then
        if ! wait_for_service "$SERVICE_TIMEOUT" "$(cinder_ext_url)/"; then
            die $LINENO "cext-api did not start"
        fi
    fi
}

# A volume type for each backend, unless there is one.
function create_cinder_ext_volume_types {
    local backend
    for backend in $(_cinder_ext_backends); do
        if ! openstack --os-cloud devstack-admin volume type show "$backend" > /dev/null 2>&1; then
            openstack --os-cloud devstack-admin volume type create \
                --property volume_backend_name="$backend" "$backend"
        fi
    done
}

function configure_cinder_ext_tempest {
    iniset "$TEMPEST_CONFIG" service_available cinder True
    iniset "$TEMPEST_CONFIG" volume catalog_type "${CINDER_EXT_SERVICE_TYPES%%,*}"
    iniset "$TEMPEST_CONFIG" volume storage_protocol file
    iniset "$TEMPEST_CONFIG" volume vendor_name cinder_ext
    iniset "$TEMPEST_CONFIG" volume backend_names "$CINDER_EXT_ENABLED_BACKENDS"
    iniset "$TEMPEST_CONFIG" volume max_microversion 3.71
    iniset "$TEMPEST_CONFIG" volume manage_volume_ref source-name,volume-%s
    iniset "$TEMPEST_CONFIG" volume manage_snapshot_ref source-name,snapshot-%s

    local feature
    for feature in snapshot clone manage_volume manage_snapshot extend_volume_with_snapshot \
        volume_revert; do
        iniset "$TEMPEST_CONFIG" volume-feature-enabled "$feature" True
    done
    iniset "$TEMPEST_CONFIG" volume-feature-enabled backup False
    if [[ $CINDER_EXT_ENABLED_BACKENDS == *,* ]]; then
        iniset "$TEMPEST_CONFIG" volume-feature-enabled multi_backend True
    fi
    if [[ -n $CINDER_EXT_REPLICATED_BACKENDS ]]; then
        iniset "$TEMPEST_CONFIG" volume-feature-enabled replication True
    fi
}

function stop_cinder_ext {
    local service
    for service in cext-vol cext-sch cext-api; do
        stop_process "$service"
    done
}

function cleanup_cinder_ext {
    # Empty names would make these another directory.
    sudo rm -rf "${CINDER_EXT_CONF_DIR:?}" "${CINDER_EXT_BACKEND_DIR:?}" "${CINDER_EXT_STATE_PATH:?}"
}

function _cinder_ext_stack {
    case $1 in
        install)
            echo_summary "Installing cinder_ext"
            install_cinder_ext
            ;;
        post-config)
            echo_summary "Configuring cinder_ext"
            configure_cinder_ext
            if is_service_enabled cext-api; then
                create_cinder_ext_accounts
                init_cinder_ext
            fi
            ;;
        extra)
            echo_summary "Starting cinder_ext"
            start_cinder_ext
            if is_service_enabled cext-api; then
                create_cinder_ext_volume_types
            fi
            ;;
        test-config)
            if is_service_enabled tempest; then
                configure_cinder_ext_tempest
            fi
            ;;
    esac
}

CINDER_EXT_BIN_DIR=$(get_python_exec_prefix)

if is_cinder_ext_enabled; then
    case $1 in
        stack)
            _cinder_ext_stack "$2"
            ;;
        unstack)
            stop_cinder_ext
            ;;
        clean)
            stop_cinder_ext
            cleanup_cinder_ext
            ;;
    esac
fi

$_CINDER_EXT_XTRACE
