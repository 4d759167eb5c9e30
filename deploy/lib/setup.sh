# shellcheck shell=bash
# What deploy/setup-hub and deploy/setup-spoke share: making a real machine ready without touching
# anything that is not Kolga's. Needs lib/base.sh and root.

# The worker's user on a real spoke.
STACK_USER=kolga

# shellcheck source=memory.sh
. "$KOLGA_ROOT/deploy/lib/memory.sh"
# shellcheck source=mariadb.sh
. "$KOLGA_ROOT/deploy/lib/mariadb.sh"
# shellcheck source=postgres.sh
. "$KOLGA_ROOT/deploy/lib/postgres.sh"
# shellcheck source=web.sh
. "$KOLGA_ROOT/deploy/lib/web.sh"
# shellcheck source=configs.sh
. "$KOLGA_ROOT/deploy/lib/configs.sh"

setup_user() { web_user "$1"; }

# Reads the broker's URL from standard input.
setup_url() {
    local url=''
    [ ! -t 0 ] || say "The broker's URL, as deploy/broker-user printed it:"
    read -r url || true
    [[ "$url" =~ ^amqp://kolga-[a-z0-9-]+:[^@[:space:]]+@[^/[:space:]]+/[a-z]+$ ]] ||
        die "standard input must be the URL that deploy/broker-user printed: amqp://kolga-NAME:PASSWORD@HOST:PORT/kolga"
    printf '%s' "$url"
}

# write_new OWNER MODE FILE: as write_for, unless the file is there: it may hold an operator's changes.
write_new() {
    if [ -e "$3" ]; then cat >/dev/null; else write_for "$@"; fi
}

# setup_program NAME FOLDER: installs or renews a program. Already where it belongs in a container.
setup_program() {
    [ -e "$2/$1" ] || die "$2/$1 is missing: build it with cargo build --release, or name another folder with --bin"
    [ "$2" -ef /usr/local/bin ] || {
        install -m 0755 "$2/$1" "/usr/local/bin/$1.new" && mv -f "/usr/local/bin/$1.new" "/usr/local/bin/$1"
    }
}

# setup_unit NAME: installs a service where systemd is, and starts nothing.
setup_unit() {
    [ -d /etc/systemd/system ] || return 0
    sed -e "s|@PHP_FPM@|${PHP_FPM:-}|" -e "s|@PHP_USER@|${PHP_USER:-}|" "$KOLGA_ROOT/deploy/systemd/$1" |
        write_for root 0644 "/etc/systemd/system/$1"
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}
