# shellcheck shell=bash
# A private RabbitMQ node with a port mapper of its own. Users and rights come from a definitions file
# that the node reads before it listens, so no slow command line call is needed. Needs $STACK and
# lib/broker_rights.sh.

BROKER_NODE() { printf 'kolga-%s@localhost' "$STACK_ID"; }

# Every program of this node shares these; none of them reads the system's RabbitMQ configuration.
broker_env() {
    local home="$STACK/rabbitmq"
    BROKER_ENV=(
        "HOME=$home/home" "RABBITMQ_NODENAME=$(BROKER_NODE)"
        "ERL_EPMD_PORT=$(port_for epmd)" ERL_EPMD_ADDRESS=127.0.0.1
        "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1" "RABBITMQ_NODE_PORT=$(port_for rabbitmq)"
        "RABBITMQ_DIST_PORT=$(port_for dist)" "RABBITMQ_MNESIA_BASE=$home/mnesia"
        "RABBITMQ_LOG_BASE=$home/log" "RABBITMQ_PID_FILE=$home/pid"
        "RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins"
        "RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE=/dev/null
        # The wrapper then becomes the Erlang machine instead of watching over it.
        RUNNING_UNDER_SYSTEMD=true
        # Nobody starts a mapper but ourselves: it would outlive everything, unrecorded.
        "RABBITMQ_CTL_ERL_ARGS=-start_epmd false"
        # Does not spin while idle, and keeps Erlang's own port off the network.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-start_epmd false +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
    )
}

broker_definitions() {
    local name
    for name in hub "$@"; do echo "$name $(secret_for "amqp.$name")"; done | rights_definitions
}

broker_url() { printf 'amqp://kolga-%s:%s@127.0.0.1:%s/kolga' "$1" "$(secret_for "amqp.$1")" "$(port_for rabbitmq)"; }

# Starts what does not run; does not wait. Arguments: the spokes.
broker_start() {
    local home="$STACK/rabbitmq" folder
    for folder in "$home" "$home/home" "$home/log"; do
        install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$folder"
    done
    if ! proc_alive epmd; then
        # A node whose mapper died cannot be found by its tools any more.
        proc_stop rabbitmq TERM 30
        proc_stop epmd TERM 5
        port_check epmd
        proc_start epmd "$STACK_USER" "$home" -- \
            epmd -address 127.0.0.1 -port "$(port_for epmd)"
    fi
    proc_alive rabbitmq || proc_stop rabbitmq TERM 30
    if ! proc_alive rabbitmq; then
        port_check rabbitmq
        port_check dist
        # A node that was killed before it was ready for the first time may leave half a database.
        [ -e "$STACK/keep/rabbitmq-ready" ] || rm -rf "$home/mnesia"
        install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$home/mnesia"
    fi
    broker_definitions "$@" | write_for "$STACK_USER" 0600 "$home/definitions.json"
    proc_alive rabbitmq && return 0
    echo '[].' | write_for "$STACK_USER" 0600 "$home/enabled_plugins"
    write_for "$STACK_USER" 0600 "$home/rabbitmq.conf" <<CONF
load_definitions = $home/definitions.json
disk_free_limit.absolute = 50MB
log.file.level = info
CONF
    broker_env
    cp "$home/definitions.json" "$STACK/keep/definitions"
    proc_start rabbitmq "$STACK_USER" "$home" "${BROKER_ENV[@]}" -- \
        /usr/lib/rabbitmq/bin/rabbitmq-server
}

# The node listens after it has read its definitions, so a greeting means that everything is there.
broker_wait() {
    wait_until 90 "RabbitMQ" rabbitmq port_taken "$(port_for rabbitmq)"
    touch "$STACK/keep/rabbitmq-ready"
    if ! cmp -s "$STACK/rabbitmq/definitions.json" "$STACK/keep/definitions"; then
        broker_ctl import_definitions "$STACK/rabbitmq/definitions.json" >&2
        cp "$STACK/rabbitmq/definitions.json" "$STACK/keep/definitions"
    fi
}

# rabbitmqctl on this node. The wrapper in /usr/sbin insists on another user.
broker_ctl() {
    broker_env
    (cd "$STACK/rabbitmq" && exec setpriv --reuid "$STACK_USER" --regid "$STACK_USER" --init-groups \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${BROKER_ENV[@]}" \
        /usr/lib/rabbitmq/bin/rabbitmqctl "$@")
}

broker_stop() {
    proc_stop rabbitmq TERM 60
    proc_stop epmd TERM 5
}
