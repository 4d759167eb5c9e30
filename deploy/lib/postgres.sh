# shellcheck shell=bash
# A private PostgreSQL for the hub's store and its tests, and for sites: in it the accounts of the workers, one for the
# socket, and one for those whose database is, as it seems to them, on another machine. It has a certificate and
# offers no TLS until somebody says `ssl = on`. Needs $STACK and lib/authority.sh.

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
    postgres_hba | write_for "$STACK_USER" 0600 "$home/data/pg_hba.conf"
    # Tests of the worker's code run as root, and come as its account.
    printf 'workers %s %s\nworkers root %s\n' "$STACK_USER" "$STACK_USER" "$STACK_USER" |
        write_for "$STACK_USER" 0600 "$home/data/pg_ident.conf"
    proc_start postgres "$STACK_USER" "$home" -- "$bin/postgres" -D "$home/data" \
        -p "$(port_for postgres)" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$home" \
        -c ssl_cert_file="$(AUTHORITY)/server.pem" -c ssl_key_file="$(AUTHORITY)/server.key"
}

# Workers come over the socket as who they are, and everybody else by a password.
postgres_hba() {
    cat <<HBA
local all "$STACK_USER" peer map=workers
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
HBA
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
    local account
    for account in "$STACK_USER" kolga-remote; do
        postgres_query --dbname=postgres -v "account=$account" <"$KOLGA_ROOT/deploy/postgresql.sql" >&2
    done
    printf "ALTER ROLE \"kolga-remote\" PASSWORD '%s';" "$(secret_for postgres)" |
        postgres_query --dbname=postgres
}

# postgres_config SOCKETS PORT: what worker.toml says of it.
postgres_config() {
    printf '\n[postgresql]\nsocket = "%s"\nport = %s\nuser = "%s"\n' "$1" "$2" "$STACK_USER"
}

postgres_stop() { proc_stop postgres INT 30; }
