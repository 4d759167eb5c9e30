# shellcheck shell=bash
# A private PostgreSQL for the hub's store and its tests. Needs $STACK.

postgres_url() { printf 'postgres://kolga:%s@127.0.0.1:%s/kolga' "$(secret_for postgres)" "$(port_for postgres)"; }

postgres_start() {
    local home="$STACK/postgres" bin
    proc_alive postgres && return 0
    proc_stop postgres INT 30
    bin="$(find /usr/lib/postgresql/*/bin -maxdepth 0 | sort -V | tail -n 1)"
    install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$home"
    if [ ! -e "$home/ready" ]; then
        rm -rf "$home/data"
        secret_for postgres | write_for "$STACK_USER" 0600 "$home/password"
        (cd "$home" && setpriv --reuid "$STACK_USER" --regid "$STACK_USER" --init-groups \
            "$bin/initdb" --pgdata="$home/data" --username=kolga --pwfile="$home/password" \
            --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8) >>"$STACK/log/postgres.log" 2>&1 ||
            die "PostgreSQL's data folder could not be made; see $STACK/log/postgres.log"
        rm -f "$home/password"
        touch "$home/ready"
    fi
    port_check postgres
    postgres_clear
    proc_start postgres "$STACK_USER" "$home" -- "$bin/postgres" -D "$home/data" \
        -p "$(port_for postgres)" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
}

# A killed server leaves its pid in a file, and refuses to start while that number is in use, be it by
# a zombie or by a stranger. Its backends have sessions of their own and end when they miss it.
postgres_clear() {
    local tries=200
    while [ -n "$(proc_inside "$STACK/postgres/data")" ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || die "processes of a killed PostgreSQL still work in $STACK/postgres/data"
        sleep 0.05
    done
    rm -f "$STACK/postgres/data/postmaster.pid"
}

postgres_query() {
    PGPASSWORD="$(secret_for postgres)" psql --no-psqlrc --quiet --tuples-only --no-align \
        --host=127.0.0.1 --port="$(port_for postgres)" --username=kolga "$@"
}

postgres_wait() {
    wait_until 60 PostgreSQL postgres postgres_query --dbname=postgres -c 'SELECT 1'
    [ "$(postgres_query --dbname=postgres -c "SELECT 1 FROM pg_database WHERE datname = 'kolga'")" = 1 ] ||
        postgres_query --dbname=postgres -c 'CREATE DATABASE kolga'
}

postgres_stop() { proc_stop postgres INT 30; }
