# shellcheck shell=bash
# A cgroup (version 2) for each of a stack's workers, given to the workers' user as systemd's Delegate=yes
# would, so that the worker can make one for each command. Where no cgroup can be made, as in most
# containers, workers use process groups. Needs $STACK, $STACK_ID and root.

# Prints the folder of this script's own cgroup; fails where there are none of version 2.
cgroup_own() {
    local own mount
    own="$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null)"
    mount="$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)"
    [ -n "$own" ] && [ -n "$mount" ] && [ -d "$mount$own" ] && printf '%s' "${mount}${own%/}"
}

# Prints the folder kept for this stack, which may have been made by a script in another cgroup.
cgroup_stack() {
    local kept
    # shellcheck disable=SC2153 # from stack_open
    kept="$(cat "$STACK/keep/cgroup" 2>/dev/null)" && [ -d "$kept" ] && printf '%s' "$kept"
}

# cgroup_start SPOKE: prints the folder of the worker's cgroup, or nothing where none can be made.
cgroup_start() {
    local stack folder file
    if ! stack="$(cgroup_stack)"; then
        stack="$(cgroup_own)" || return 0
        stack="$stack/kolga-stack-$STACK_ID"
        mkdir -p "$stack" 2>/dev/null || return 0
        keep "$STACK/keep/cgroup" "$stack"
    fi
    folder="$stack/$1"
    mkdir -p "$folder" 2>/dev/null || return 0
    for file in "$folder" "$folder/cgroup.procs" "$folder/cgroup.threads" "$folder/cgroup.subtree_control"; do
        chown "$STACK_USER:$STACK_USER" "$file" 2>/dev/null || return 0
    done
    printf '%s' "$folder"
}

# Ends what is left in the stack's cgroups, whoever it runs as, and removes them.
cgroup_stop() {
    local stack tries=200
    stack="$(cgroup_stack)" || return 0
    echo 1 >"$stack/cgroup.kill" || return 0
    while [ "$tries" -gt 0 ] && grep -qs '^populated 1' "$stack/cgroup.events"; do
        sleep 0.05
        tries=$((tries - 1))
    done
    find "$stack" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    rm -f "$STACK/keep/cgroup"
}
