# shellcheck shell=bash
# A stack as a whole: its folder, its user, and the order in which its services start and stop. Used
# by deploy/stack, deploy/demo and deploy/test; needs lib/base.sh and root.

# shellcheck source=proc.sh
. "$KOLGA_ROOT/deploy/lib/proc.sh"
# shellcheck source=cgroup.sh
. "$KOLGA_ROOT/deploy/lib/cgroup.sh"
# shellcheck source=memory.sh
. "$KOLGA_ROOT/deploy/lib/memory.sh"
# shellcheck source=broker_rights.sh
. "$KOLGA_ROOT/deploy/lib/broker_rights.sh"
# shellcheck source=broker.sh
. "$KOLGA_ROOT/deploy/lib/broker.sh"
# shellcheck source=authority.sh
. "$KOLGA_ROOT/deploy/lib/authority.sh"
# shellcheck source=mariadb.sh
. "$KOLGA_ROOT/deploy/lib/mariadb.sh"
# shellcheck source=postgres.sh
. "$KOLGA_ROOT/deploy/lib/postgres.sh"
# shellcheck source=web.sh
. "$KOLGA_ROOT/deploy/lib/web.sh"
# shellcheck source=spokes.sh
. "$KOLGA_ROOT/deploy/lib/spokes.sh"
# shellcheck source=configs.sh
. "$KOLGA_ROOT/deploy/lib/configs.sh"

# The user of all services, of the hub and of the workers of demo and tests.
STACK_USER=kolga-demo

# stack_open FOLDER VERB: checks the folder, and makes it for `up` and `fresh`.
stack_open() {
    STACK="$(realpath -m "$1")"
    # The path goes into configuration files, and sockets below it must fit into 107 bytes.
    [[ "$STACK" =~ ^/[A-Za-z0-9/._-]{1,60}$ ]] ||
        die "the folder '$1' must be a path of at most 60 letters, digits and / . _ -"
    STACK_ID="$(printf '%s' "$STACK" | sha256sum | cut -c1-8)"
    if [ ! -e "$STACK" ]; then
        [ "$2" = up ] || [ "$2" = fresh ] || die "there is no stack in $STACK"
        mkdir -p "$STACK"
    fi
    # Somebody else's folder in a place where all may write is not to be trusted.
    if [ -L "$STACK" ] || [ "$(stat -c %u "$STACK")" != 0 ]; then
        die "$STACK does not belong to root: name another folder"
    fi
    stack_folders
}

stack_folders() {
    chmod 0711 "$STACK"
    install -d -m 0700 "$STACK/keep" "$STACK/run"
    install -d -m 0755 "$STACK/log"
}

# One caller at a time. The lock is the kernel's and ends with the process.
stack_lock() {
    exec 9>"$STACK/lock"
    flock -n 9 || { say "Waiting for another run on $STACK" && flock 9; }
}

stack_user() { web_user "$STACK_USER"; }

stack_spokes() { tr ',' ' ' <"$STACK/keep/spokes"; }

# stack_up SPOKES POSTGRES: what was chosen at the first time is remembered.
stack_up() {
    local spoke spokes
    [ -z "$1" ] || keep "$STACK/keep/spokes" "$1"
    [ -e "$STACK/keep/spokes" ] || keep "$STACK/keep/spokes" web1,web2
    [ "$2" = no ] || touch "$STACK/keep/postgres"
    spokes="$(stack_spokes)"
    for spoke in $spokes; do
        [[ "$spoke" =~ ^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$ ]] || die "'$spoke' is no name of a server"
    done
    stack_user
    rm -f "$STACK/stack.json"
    # RabbitMQ needs longest, so it goes first and is waited for last.
    # shellcheck disable=SC2086
    broker_start $spokes
    authority_make
    mariadb_start
    [ ! -e "$STACK/keep/postgres" ] || postgres_start
    for spoke in $spokes; do spoke_start "$spoke"; done
    # shellcheck disable=SC2086
    spokes_allow $spokes
    mariadb_wait
    [ ! -e "$STACK/keep/postgres" ] || postgres_wait
    for spoke in $spokes; do spoke_wait "$spoke"; done
    broker_wait
    # shellcheck disable=SC2086
    config_write $spokes
}

# stack_fresh PID SPOKES POSTGRES: a stack without a past, for as long as that process needs it.
stack_fresh() {
    local holder
    if holder="$(proc_pid tests)"; then
        die "another test run (process $holder) uses $STACK: wait for it, or name another folder with --dir"
    fi
    stack_down
    stack_unmount
    find "$STACK" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf --one-file-system {} +
    stack_folders
    proc_record tests "$1"
    stack_up "$2" "$3"
}

# Small disks that a test which was killed has left below, the newest first.
stack_unmount() {
    local mounted
    while read -r mounted; do
        umount --lazy "$mounted"
    done < <(awk -v below="$STACK/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | tac)
}

stack_down() {
    local record
    rm -f "$STACK/stack.json"
    # Whatever the demo started on top: hub and workers go before what they use.
    for record in "$STACK"/run/*; do
        case "${record##*/}" in
        hub | worker.*) proc_stop "${record##*/}" TERM 90 ;;
        esac
    done
    stack_sweep
    cgroup_stop
    for record in "$STACK"/run/*.nginx; do
        [ ! -e "$record" ] || spoke_stop "$(basename "$record" .nginx)"
    done
    for record in "$STACK"/run/*.php "$STACK"/run/*.pool.*; do
        [ ! -e "$record" ] || proc_stop "$(basename "$record")" QUIT 10
    done
    postgres_stop
    mariadb_stop
    broker_stop
    rm -f "$STACK/run/tests" "$(spokes_sudoers_file)"
}

# Hubs and workers that somebody started by hand, or a test left, on this stack's configuration.
stack_sweep() {
    local entry pid
    for entry in /proc/[0-9]*; do
        pid="${entry#/proc/}"
        [ "$(stat -c %U "$entry" 2>/dev/null)" = "$STACK_USER" ] || continue
        grep -zqs "^$STACK/.*/\(worker\|hub\)\.toml\$" "$entry/cmdline" || continue
        say "ending process $pid, which works on $STACK"
        kill -KILL "$pid" 2>/dev/null || true
    done
}

# stack_stop_one SERVICE [SIGNAL]: for tests that take a service away.
stack_stop_one() {
    local name="${1:?name a service: see deploy/stack status}" signal="${2:-TERM}"
    [ -e "$STACK/run/$name" ] || die "'$name' is not among the services: $(ls "$STACK/run")"
    proc_stop "$name" "$signal" 60
}

stack_status() {
    local record name pid bad=0
    for record in "$STACK"/run/*; do
        [ -e "$record" ] || { echo "nothing runs in $STACK" && return 3; }
        name="${record##*/}"
        if pid="$(proc_pid "$name")"; then
            printf '%-14s running  pid %s\n' "$name" "$pid"
        else
            printf '%-14s died     see %s\n' "$name" "$STACK/log/$name.log"
            bad=3
        fi
    done
    return "$bad"
}

stack_env() {
    [ -e "$STACK/stack.json" ] || die "the stack in $STACK is not up: run deploy/stack up --dir $STACK"
    cat <<ENV
export KOLGA_TEST_STACK=$STACK/stack.json
export KOLGA_TEST_BIN_DIR=$STACK/bin
export KOLGA_HUB=http://127.0.0.1:$(port_for hub)
export KOLGA_HUB_CONFIG=$STACK/hub/hub.toml
export KOLGA_TOKEN_FILE=$STACK/hub/api-token
ENV
}
