# shellcheck shell=bash
# The hub and the workers of a stack as tracked processes, and their command lines with the right
# user and configuration. Needs lib/stack.sh; programs lie in $STACK/bin.

# Runs a program as the services' user, in a place that it may read.
as_stack_user() {
    (cd / && exec setpriv --reuid "$STACK_USER" --regid "$STACK_USER" --init-groups --inh-caps=-all \
        env -i PATH=/usr/bin:/bin LANG=C.UTF-8 "TERM=${TERM:-dumb}" "COLUMNS=${COLUMNS:-100}" \
        ${NO_COLOR:+"NO_COLOR=$NO_COLOR"} "$@")
}

hub_cli() {
    as_stack_user "KOLGA_HUB=http://127.0.0.1:$(port_for hub)" \
        "KOLGA_TOKEN_FILE=$STACK/hub/api-token" "$STACK/bin/kolga" "$@"
}

# worker_cli SPOKE ARGUMENTS...
worker_cli() {
    local spoke="$1"
    shift
    as_stack_user "KOLGA_WORKER_CONFIG=$STACK/$spoke/worker.toml" "$STACK/bin/kolga-worker" "$@"
}

hub_start() {
    if proc_alive hub && [ "$(readlink "/proc/$(proc_pid hub)/exe")" = "$STACK/bin/kolga" ]; then
        return 0
    fi
    # A new build replaces the file; the old program then runs from a deleted one.
    proc_stop hub TERM 30
    proc_start hub "$STACK_USER" "$STACK/hub" -- "$STACK/bin/kolga" serve --config "$STACK/hub/hub.toml"
}

hub_answers() { curl -fsS --max-time 2 "http://127.0.0.1:$(port_for hub)/v1/health"; }

hub_wait() { wait_until 30 "the hub" hub hub_answers; }

worker_start() {
    local name="worker.$1"
    if proc_alive "$name" && [ "$(readlink "/proc/$(proc_pid "$name")/exe")" = "$STACK/bin/kolga-worker" ]; then
        return 0
    fi
    proc_stop "$name" TERM 90
    PROC_CGROUP="$(cgroup_start "$1")" proc_start "$name" "$STACK_USER" "$STACK/$1" -- "$STACK/bin/kolga-worker" run \
        --config "$STACK/$1/worker.toml"
}
