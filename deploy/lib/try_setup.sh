# shellcheck shell=bash
# The installation as docs/OPERATIONS.md tells it, on machines that have nothing yet: a hub with its broker, which keeps
# the backups, too, and spokes. What a person would carry from one machine to another, this carries. Used by
# deploy/try-debian; needs lib/machines.sh.

KOLGA_ON=/root/kolga
POOLS=3

setup_hub() {
    on hub "$KOLGA_ON/deploy/packages" tools broker far
    on hub systemctl enable --now rabbitmq-server
    on hub bash -euo pipefail -c "$KOLGA_ON/deploy/broker-user hub | $KOLGA_ON/deploy/setup-hub"
    on hub systemctl enable --now kolga-hub
    on hub sudo kolga doctor
}

# A folder that spokes reach over SFTP, and nothing else of that machine.
setup_backup_host() {
    on hub useradd --system --create-home --home-dir /srv/backups --shell /usr/sbin/nologin backups
    on hub install -d -m 0700 -o backups -g backups /srv/backups/.ssh /srv/backups/restic
    on hub systemctl enable --now ssh
}

# setup_packages SPOKE: what takes longest, so spokes do it side by side.
setup_packages() { on "$1" "$KOLGA_ON/deploy/packages" tools web mariadb postgres backup far; }

setup_spoke() {
    local spoke="$1" pool
    on "$spoke" systemctl enable --now mariadb postgresql
    on "$spoke" systemctl disable --now nginx php8.2-fpm
    on hub "$KOLGA_ON/deploy/broker-user" "$spoke" --host hub |
        on "$spoke" "$KOLGA_ON/deploy/setup-spoke" "$spoke" --pools "$POOLS" --postgresql
    on "$spoke" systemctl enable --now kolga-php kolga-nginx kolga-worker
    for pool in $(seq -f '%02g' "$POOLS"); do on "$spoke" systemctl enable --now "kolga-pool@kolga-s$pool"; done
    setup_backups "$spoke"
    on "$spoke" systemctl reload kolga-worker
    on "$spoke" sudo -u kolga kolga-worker check
    on hub sudo kolga server add "$spoke"
    on hub sudo kolga server verify "$spoke" --follow
}

# Of both spokes in one place, so that sites can move. The password is the first one's.
setup_backups() {
    local spoke="$1" etc=/etc/kolga
    on "$spoke" ssh-keygen -q -t ed25519 -N '' -f $etc/backup-ssh-key
    on "$spoke" cat $etc/backup-ssh-key.pub | sed 's/^/restrict,command="internal-sftp" /' |
        on hub bash -c 'cat >>/srv/backups/.ssh/authorized_keys'
    on hub cat /etc/ssh/ssh_host_ed25519_key.pub | sed 's/^/hub /' | on "$spoke" tee $etc/backup-known-hosts >/dev/null
    if [ "$spoke" = web1 ]; then
        on web1 bash -c "umask 077 && head -c 32 /dev/urandom | base64 >$etc/backup-password"
    else
        on web1 cat $etc/backup-password | on "$spoke" bash -c "umask 077 && cat >$etc/backup-password"
    fi
    on "$spoke" chown kolga: $etc/backup-password $etc/backup-ssh-key $etc/backup-known-hosts
    on "$spoke" install -d -m 0700 -o kolga -g kolga /srv/kolga/extracted
    on "$spoke" tee -a $etc/worker.toml >/dev/null <<'TOML'

[backups]
repository = "sftp:backups@hub:/srv/backups/restic/all"
password_file = "/etc/kolga/backup-password"
ssh_key = "/etc/kolga/backup-ssh-key"
ssh_known_hosts = "/etc/kolga/backup-known-hosts"
extract_to = "/srv/kolga/extracted"

# Machines within a machine, which may be busy, see its load.
[gates]
load_per_cpu = 100
memory_pressure_percent = 90
TOML
    # A recipe whose second step takes as long as it is told, and leaves something that sheds every mark.
    on "$spoke" tee $etc/recipes/try-wait.toml >/dev/null <<'TOML'
name = "try-wait"
description = "Makes a file, starts something that hides, and waits"

[params.seconds]
type = "integer"
min = 1
max = 600
description = "How long"

[[steps]]
name = "mark"
do = ["/usr/bin/touch", "/srv/kolga/try-{{ run }}"]
undo = ["/usr/bin/rm", "-f", "--", "/srv/kolga/try-{{ run }}"]

[[steps]]
name = "wait"
do = ["/usr/bin/bash", "-c", "setsid --fork env -i sleep 4242; exec sleep {{ params.seconds }}"]
nothing_to_undo = true
timeout_seconds = 600

[[steps]]
name = "forget"
do = ["/usr/bin/rm", "-f", "--", "/srv/kolga/try-{{ run }}"]
final = true
TOML
}
