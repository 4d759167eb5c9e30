# shellcheck shell=bash
# A private MariaDB on a socket only, and in it the account of the workers. Needs $STACK.

MARIADB_SOCKET() { printf '%s/mariadb/mariadb.sock' "$STACK"; }

# The worker's account: it comes by its Unix user, so there is no password. It may make and drop
# databases whose names begin with k_, give rights on these and on no other, make users, and read who
# exists with which rights. (An underscore is a wildcard in a grant, hence the backslash.)
mariadb_account_sql() {
    cat <<SQL
CREATE USER IF NOT EXISTS '$1'@'localhost' IDENTIFIED VIA unix_socket;
GRANT CREATE USER ON *.* TO '$1'@'localhost';
GRANT ALL PRIVILEGES ON \`k\\_%\`.* TO '$1'@'localhost' WITH GRANT OPTION;
GRANT SELECT ON mysql.* TO '$1'@'localhost';
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
    proc_start mariadb "$STACK_USER" "$home" -- mariadbd --no-defaults --datadir="$home/data" \
        --socket="$(MARIADB_SOCKET)" --pid-file="$home/mariadbd.pid" --skip-networking \
        --innodb-buffer-pool-size=64M --character-set-server=utf8mb4 --tmpdir="$home/data"
}

mariadb_root() { mariadb --no-defaults --socket="$(MARIADB_SOCKET)" --user=root; }

mariadb_answers() { mariadb_root <<<'SELECT 1'; }

mariadb_wait() {
    wait_until 60 MariaDB mariadb mariadb_answers
    mariadb_account_sql "$STACK_USER" | mariadb_root
}

mariadb_stop() { proc_stop mariadb TERM 60; }
