# shellcheck shell=bash
# How deploy/bench starts, drives and ends one system after the other, and what each costs in CPU time.
# Needs lib/stack.sh, lib/daemons.sh and root; the venv of the peers lies in $PEERS/venv.

# Everything that a run measures, in the order of the first round.
# shellcheck disable=SC2034 # read by deploy/bench
BENCH_SYSTEMS=(bare kolga-sqlite kolga-postgres celery dramatiq)

# The spoke of each of the two hubs: journals and queues of their own.
bench_server() { if [ "$1" = kolga-sqlite ]; then echo web1; else echo web2; fi; }

# The peers have a vhost and a database of their own; they declare what they like in it.
peers_prepare() {
    local password
    password="$(secret_for amqp.peers)"
    broker_ctl --quiet add_vhost peers
    broker_ctl --quiet add_user peers "$password"
    broker_ctl --quiet set_permissions --vhost peers peers '.*' '.*' '.*'
    postgres_query --dbname=postgres -c 'CREATE DATABASE peers'
    postgres_query --dbname=peers -c 'CREATE TABLE dramatiq_results (key text PRIMARY KEY, result bytea NOT NULL)'
    PEERS_ENV=(
        "PEERS_AMQP=amqp://peers:$password@127.0.0.1:$(port_for rabbitmq)/peers"
        "PEERS_POSTGRES=postgresql://kolga:$(secret_for postgres)@127.0.0.1:$(port_for postgres)/peers"
        PYTHONDONTWRITEBYTECODE=1 dramatiq_queue_prefetch=100
    )
    install -d -m 0755 "$STACK/peers"
    install -m 0644 "$KOLGA_ROOT"/tests/peers/*.py "$STACK/peers"
}

# The second hub: the same, with PostgreSQL for its store.
hub_postgres_prepare() {
    local home="$STACK/hub-postgres"
    install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$home"
    {
        config_hub "$home" "127.0.0.1:$(port_for hub)" "$(broker_url hub)"
        printf '\n[store]\nurl = "%s"\n' "$(postgres_url)"
    } | write_for "$STACK_USER" 0600 "$home/hub.toml"
}

# Where the hub of this system keeps itself.
hub_home() { if [ "$1" = kolga-sqlite ]; then echo "$STACK/hub"; else echo "$STACK/hub-postgres"; fi; }

# bench_cli SYSTEM ARGUMENTS...: the operator's command line against that hub.
bench_cli() {
    local home
    home="$(hub_home "$1")"
    shift
    as_stack_user "KOLGA_HUB=http://127.0.0.1:$(port_for hub)" "KOLGA_TOKEN_FILE=$home/api-token" \
        "$STACK/bin/kolga" "$@"
}

# bench_start SYSTEM: its daemons; the first tasks of a driver wait until they are ready.
bench_start() {
    local home server
    case "$1" in
    kolga-*)
        home="$(hub_home "$1")" server="$(bench_server "$1")"
        proc_start hub "$STACK_USER" "$home" -- "$STACK/bin/kolga" serve --config "$home/hub.toml"
        hub_wait
        bench_cli "$1" --json server show "$server" >/dev/null 2>&1 ||
            bench_cli "$1" server add "$server" >/dev/null 2>&1
        worker_start "$server"
        ;;
    celery)
        proc_start celery "$STACK_USER" "$STACK/peers" "${PEERS_ENV[@]}" -- "$PEERS/venv/bin/celery" \
            --app celery_app worker --pool prefork --concurrency 2 --loglevel WARNING \
            --without-gossip --without-mingle --without-heartbeat
        ;;
    dramatiq)
        proc_start dramatiq "$STACK_USER" "$STACK/peers" "${PEERS_ENV[@]}" -- "$PEERS/venv/bin/dramatiq" \
            --path "$STACK/peers" --processes 2 dramatiq_app
        ;;
    esac
}

bench_stop() {
    proc_stop worker.web1 TERM 30
    proc_stop worker.web2 TERM 30
    proc_stop hub TERM 30
    proc_stop celery TERM 30
    proc_stop dramatiq TERM 30
}

# bench_drive SYSTEM throughput|latency COUNT: JSON to standard output.
bench_drive() {
    local counts=()
    case "$1" in
    bare) as_stack_user "${PEERS_ENV[@]}" "$STACK/bin/bare_loop" "$2" "$3" ;;
    kolga-*)
        if [ "$2" = throughput ]; then counts=(--only throughput --tasks "$3"); else counts=(--only idle --single "$3"); fi
        bench_cli "$1" --json bench --servers "$(bench_server "$1")" "${counts[@]}"
        ;;
    *) as_stack_user "${PEERS_ENV[@]}" "$PEERS/venv/bin/python" "$STACK/peers/$1_bench.py" "$2" "$3" ;;
    esac
}

# Prints the CPU time in ms that the named process, its children and those that have ended have used.
cpu_ms() {
    local pid
    pid="$(proc_pid "$1")" || { echo 0 && return; }
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$pid" -v hertz="$(getconf CLK_TCK)" '
        { pid = $1; sub(/^.*\) /, ""); parent[pid] = $2; used[pid] = $12 + $13 + $14 + $15 }
        END {
            for (pid in parent) {
                at = pid
                while (at != root && at in parent) at = parent[at]
                if (at == root) total += used[pid]
            }
            printf "%d\n", total * 1000 / hertz
        }'
}

# Prints what each part of this system has used so far.
cpu_all() {
    local hub=null worker=null
    case "$1" in
    kolga-*) hub="$(cpu_ms hub)" worker="$(cpu_ms "worker.$(bench_server "$1")")" ;;
    celery | dramatiq) worker="$(cpu_ms "$1")" ;;
    esac
    printf '{"hub":%s,"worker":%s,"broker":%s,"database":%s}\n' "$hub" "$worker" "$(cpu_ms rabbitmq)" \
        "$(cpu_ms postgres)"
}

# bench_measure SYSTEM ROUND TASKS SINGLE: starts it, drives it twice, ends it; one line of JSON.
bench_measure() {
    local folder="$STACK/measured" before after client TIMEFORMAT='%U %S'
    install -d "$folder"
    bench_start "$1"
    # The driver's first tasks wait for the daemons, outside of what is measured.
    bench_drive "$1" latency 20 >/dev/null 2>>"$STACK/log/bench.log" || bench_failed "$1"
    before="$(cpu_all "$1")"
    { time bench_drive "$1" throughput "$3" >"$folder/throughput" 2>>"$STACK/log/bench.log"; } 2>"$folder/client" ||
        bench_failed "$1"
    after="$(cpu_all "$1")"
    client="$(awk '{ print ($1 + $2) * 1000 }' "$folder/client")"
    bench_drive "$1" latency "$4" >"$folder/latency" 2>>"$STACK/log/bench.log" || bench_failed "$1"
    bench_stop
    jq -cn --arg system "$1" --argjson round "$2" --argjson before "$before" --argjson after "$after" \
        --argjson client "$client" --slurpfile whole "$folder/throughput" --slurpfile single "$folder/latency" '
        $whole[0] as $whole | {
            system: $system, round: $round, tasks: $whole.tasks, seconds: $whole.seconds,
            tasks_per_second: $whole.tasks_per_second, latency: $single[0].latency,
            cpu: ($after | to_entries
                | map(select(.value != null) | .value = (.value - $before[.key]) / $whole.tasks) | from_entries
                + {client: (($whole.client_cpu_ms // $client) / $whole.tasks)})
        }'
}

bench_failed() {
    tail -n 20 "$STACK/log/bench.log" >&2 || true
    die "$1 could not be measured; its logs are in $STACK/log"
}

# What ran, for the result.
bench_versions() {
    local kolga broker postgres
    kolga="$("$STACK/bin/kolga" --version)"
    broker="$(dpkg-query -W -f '${Version}' rabbitmq-server)"
    postgres="$(postgres_query --dbname=postgres -c 'SHOW server_version')"
    printf '%s (%s), RabbitMQ %s, PostgreSQL %s, ' "$kolga" \
        "$(git -C "$KOLGA_ROOT" -c safe.directory="$KOLGA_ROOT" rev-parse --short HEAD 2>/dev/null || echo "no commit")" \
        "${broker%%-*}" "${postgres%% *}"
    "$PEERS/venv/bin/python" -c 'import sys; from importlib.metadata import version as v
names = (("Celery", "celery"), ("Dramatiq", "dramatiq"), ("psycopg", "psycopg"))
print("Python " + sys.version.split()[0], *(f"{n} {v(p)}" for n, p in names), sep=", ")'
}

bench_machine() {
    local model memory
    model="$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
    memory="$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)"
    # shellcheck disable=SC1091 # the system's
    printf '%s cores of %s, %s GiB, %s, Linux %s, folder on %s' "$(nproc)" "${model:-an unnamed CPU}" "$memory" \
        "$(. /etc/os-release && echo "$PRETTY_NAME")" "$(uname -r)" "$(stat -f -c %T "$STACK")"
}
