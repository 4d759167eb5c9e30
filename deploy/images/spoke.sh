#!/usr/bin/env bash
# What a spoke's container runs: MariaDB, php-fpm, nginx and the worker, each as its own user. If one of
# them ends, the container ends, and the engine starts it again; the worker then rolls back what the
# interruption left, as on any machine.
set -euo pipefail
# shellcheck source=../lib/base.sh
. /kolga/deploy/lib/base.sh
# shellcheck source=../lib/setup.sh
. /kolga/deploy/lib/setup.sh

: "${KOLGA_SERVER:?the name of this spoke}" "${KOLGA_PORT:?the port of its sites}"
SPOKE=/srv/kolga
SOCKET=/run/mysqld/mysqld.sock

as_user() {
    local user="$1"
    shift
    exec setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all "$@"
}

start_mariadb() {
    install -d -m 0755 -o mysql -g mysql /run/mysqld
    as_user mysql mariadbd --skip-networking --socket="$SOCKET" --innodb-buffer-pool-size=64M &
    MARIADB=$!
    until mariadb --socket="$SOCKET" -e 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$MARIADB" || die "MariaDB did not start"
        sleep 0.1
    done
}

start_web() {
    local fpm nginx
    # What a killed container left of its processes.
    rm -f "$SPOKE/php/fpm.sock" "$SPOKE/nginx/nginx.pid"
    read -ra fpm <<<"$(web_fpm_argv "$SPOKE")"
    read -ra nginx <<<"$(web_nginx_argv "$SPOKE")"
    as_user "$(web_php_user "$SPOKE")" "${fpm[@]}" &
    PHP=$!
    as_user www-data "${nginx[@]}" -g 'daemon off;' &
    NGINX=$!
}

# The worker first, for it still needs the others to finish or to roll back.
stop() {
    kill -TERM "$WORKER" 2>/dev/null || true
    wait "$WORKER" || true
    kill -QUIT "$NGINX" "$PHP" 2>/dev/null || true
    kill -TERM "$MARIADB" 2>/dev/null || true
    wait
    exit "$1"
}

start_mariadb
# shellcheck disable=SC2153 # from docker-compose.yml
/kolga/deploy/setup-spoke "$KOLGA_SERVER" --port "$KOLGA_PORT" --bin /usr/local/bin </run/secrets/amqp
start_web
as_user kolga /usr/local/bin/kolga-worker run --config /etc/kolga/worker.toml &
WORKER=$!
trap 'stop 0' TERM INT
wait -n || true
say "one of MariaDB ($MARIADB), php-fpm ($PHP), nginx ($NGINX) and the worker ($WORKER) ended; ending the others"
stop 1
