# shellcheck shell=bash
# A private MariaDB behind a socket and on loopback, and in it the accounts of the workers: one for the socket, and
# one for those whose database is, as it seems to them, on another machine. Needs $STACK and lib/authority.sh.

MARIADB_SOCKET() { printf '%s/mariadb/mariadb.sock' "$STACK"; }

# mariadb_account_sql USER [CLIENT HOW]: the worker's account, which comes by its Unix user, without a password, or
# from another machine, as HOW says. It may make and drop databases whose names begin with k_, give rights on these
# and on no other, make users, and read who exists with which rights. (An underscore is a wildcard in a grant,
# hence the backslash.)
mariadb_account_sql() {
    local account="'$1'@'${2:-localhost}'"
    cat <<SQL
CREATE USER IF NOT EXISTS $account IDENTIFIED ${3:-VIA unix_socket};
GRANT CREATE USER ON *.* TO $account;
GRANT ALL PRIVILEGES ON \`k\\_%\`.* TO $account WITH GRANT OPTION;
GRANT SELECT ON mysql.* TO $account;
SQL
}

mariadb_start() {
    local home="$STACK/mariadb"
    proc_alive mariadb && return 0
    proc_stop mariadb TERM 60
    install -d -m 0711 -o "$STACK_USER" -g "$STACK_USER" "$home"
    if [ ! -e "$home/ready" ]; then
        # A half-made data folder of a killed run is worth nothing.
        rm -rf "$home/data"
        install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$home/data"
        mariadb-install-db --no-defaults --user="$STACK_USER" --datadir="$home/data" --skip-test-db \
            --auth-root-authentication-method=socket --auth-root-socket-user=root \
            >>"$STACK/log/mariadb.log" 2>&1 ||
            die "MariaDB's data folder could not be made; see $STACK/log/mariadb.log"
        touch "$home/ready"
    fi
    port_check mariadb
    proc_start mariadb "$STACK_USER" "$home" -- mariadbd --no-defaults --datadir="$home/data" \
        --socket="$(MARIADB_SOCKET)" --pid-file="$home/mariadbd.pid" \
        --bind-address=127.0.0.1 --port="$(port_for mariadb)" --skip-name-resolve \
        --ssl-ca="$(AUTHORITY)/ca.pem" --ssl-cert="$(AUTHORITY)/server.pem" --ssl-key="$(AUTHORITY)/server.key" \
        --innodb-buffer-pool-size=64M --character-set-server=utf8mb4 --tmpdir="$home/data"
}

mariadb_root() { mariadb --no-defaults --socket="$(MARIADB_SOCKET)" --user=root; }

mariadb_answers() { mariadb_root <<<'SELECT 1'; }

mariadb_wait() {
    wait_until 60 MariaDB mariadb mariadb_answers
    {
        mariadb_account_sql "$STACK_USER"
        mariadb_account_sql kolga-remote 127.0.0.1 "BY '$(secret_for mariadb)'"
    } | mariadb_root
}

mariadb_stop() { proc_stop mariadb TERM 60; }
