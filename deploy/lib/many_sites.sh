# shellcheck shell=bash
# Many sites of one kind over two spokes, and how long it takes to do the same to all of them, each by one command, which is
# one operation at the hub: for deploy/bench-sites --many. Needs lib/stack.sh, lib/daemons.sh, and services that run.

# many_prepare NUMBER PROFILE: the sites, half of them on each spoke, all on a platform `old`; and a platform `new`.
many_prepare() {
    local server platform number tasks=()
    hub_start
    hub_wait
    for server in web1 web2; do
        hub_cli server add "$server"
        worker_start "$server"
        for platform in old new; do
            hub_cli platform add "$platform" --server "$server" --profile "$2" --source "/usr/share/$2" --wait
        done
    done
    for ((number = 1; number <= $1; number++)); do
        tasks+=("$(hub_cli --json site install "many-$number.example" --server "web$((1 + number % 2))" \
            --profile "$2" --platform old | jq -r .task.id)")
    done
    hub_cli task wait "${tasks[@]}"
}

# many_timed NAME ARGUMENTS...: one operation to its end; fails when it does not succeed whole.
many_timed() {
    local name="$1" began ended
    shift
    began="$EPOCHREALTIME"
    hub_cli "$@" --follow >>"$STACK/log/sites.log" 2>&1 || {
        tail -n 30 "$STACK/log/sites.log" >&2
        die "$name did not succeed whole; see $STACK/log/sites.log"
    }
    ended="$EPOCHREALTIME"
    jq -cn --arg operation "$name" --argjson seconds "$(awk -v from="$began" -v to="$ended" 'BEGIN { printf "%.3f", to - from }')" \
        '$ARGS.named' >>"$STACK/sites.jsonl"
}

# many_measure NUMBER PROFILE AT_ONCE
many_measure() {
    say "Installing $1 sites of $2 over two spokes"
    many_prepare "$1" "$2" >>"$STACK/log/sites.log" 2>&1 || { tail -n 20 "$STACK/log/sites.log" >&2 && die "the preparation failed"; }
    say "Verifying them"
    many_timed verify site verify --all --at-once "$3"
    say "Backing them up"
    many_timed backup site backup --on 'web*' --at-once "$3"
    say "Upgrading them"
    many_timed upgrade site migrate --platform old --to new --at-once "$3" --stop-after 1
}

# many_table NUMBER
many_table() {
    jq -rs --argjson sites "$1" '
        def two: . * 100 | round / 100;
        "| operation over \($sites) sites | s | s a site |", "|---|---:|---:|",
        (.[] | "| \(.operation) | \(.seconds | two) | \(.seconds / $sites | two) |")
    ' "$STACK/sites.jsonl"
}
