# shellcheck shell=bash
# The configuration files of hub and workers, and stack.json, which tells tests where everything is.
# Needs lib/web.sh; what is not a plain argument needs $STACK and the functions of its services.

# toml_argv WORDS: a command line for worker.toml, through sudo.
toml_argv() {
    local word list=''
    for word in /usr/bin/sudo -n -u "$WEB_RUNAS" -- $1; do list+="${list:+, }\"$word\""; done
    printf '[%s]' "$list"
}

# config_worker HOME SERVER AMQP_URL PORT TLS_PORT CERTIFICATES MARIADB_SOCKET [SOURCES [ADDRESS]]: sites listen
# on that address only, or on all of the machine's.
config_worker() {
    local home="$1" socket="$7"
    cat <<TOML
server = "$2"
state_dir = "$home/state"

[broker]
url = "$3"

[sites]
root = "$home/sites"
platforms = "$home/platforms"
platform_sources = ["/usr/share"${8:+, \"$8\"}]
web_user = "$WEB_USER"

[profiles]
directories = ["$home/profiles"]

[nginx]
include = "$home/conf/kolga.conf"
sites_dir = "$home/conf/sites.d"
staged = "$home/conf/staged.conf"
test = $(toml_argv "$(web_argv "$home" test)")
test_staged = $(toml_argv "$(web_argv "$home" test_staged)")
reload = $(toml_argv "$(web_argv "$home" reload)")
pid_file = "$home/nginx/nginx.pid"
port = $4
${9:+listen = [\"$9:$4\"]}
check_address = "127.0.0.1:$4"

[tls]
certificates = "$6"
port = $5
${9:+listen = [\"$9:$5\"]}
check_address = "127.0.0.1:$5"

[php]
fpm_socket = "$home/php/fpm.sock"
user = "$(web_php_user "$home")"
$(config_pools "$home")
TOML
    [ -z "$socket" ] || printf '\n[mariadb]\nsocket = "%s"\nuser = "%s"\n' "$socket" "$STACK_USER"
}

# config_pools HOME: the pools that a site can have to itself, where there are some and where they are worth something.
config_pools() {
    local pool users=''
    [ "$(web_php_user "$1")" != "$WEB_USER" ] || return 0
    for pool in $(web_pools "$1"); do users+="${users:+, }\"$pool\""; done
    [ -z "$users" ] || printf '\n[pools]\nfolder = "%s"\nusers = [%s]\n' "$1/pools" "$users"
}

# config_hub STATE LISTEN AMQP_URL
config_hub() {
    cat <<TOML
state_dir = "$1"
listen = "$2"

[broker]
url = "$3"
queue_type = "quorum"
TOML
}

json_spoke() {
    local home="$STACK/$1" cgroup
    cgroup="$(cgroup_start "$1")"
    printf '"%s":{"config":"%s","amqp_url":"%s","http_port":%s,"https_port":%s,"certificates":"%s","state_dir":"%s","sites_root":"%s","platforms":"%s","profiles":"%s","nginx_conf":"%s","nginx_pid":"%s","fpm_socket":"%s","php_user":"%s","pools":"%s","cgroup":%s}' \
        "$1" "$home/worker.toml" "$(broker_url "$1")" "$(port_for "$1.nginx")" \
        "$(port_for "$1.tls")" "$home/tls" "$home/state" \
        "$home/sites" "$home/platforms" "$home/profiles" "$home/nginx/nginx.conf" \
        "$home/nginx/nginx.pid" "$home/php/fpm.sock" "$(web_php_user "$home")" "$home/pools" "${cgroup:+\"}${cgroup:-null}${cgroup:+\"}"
}

config_json() {
    local spoke spokes='' postgres=null
    for spoke in "$@"; do spokes+="${spokes:+,}$(json_spoke "$spoke")"; done
    [ ! -e "$STACK/keep/postgres" ] || postgres="\"$(postgres_url)\""
    printf '{"dir":"%s","user":"%s","web_user":"%s","sources":"%s",\n' \
        "$STACK" "$STACK_USER" "$WEB_USER" "$STACK/sources"
    printf '"amqp_hub_url":"%s","amqp_management":null,"postgres_url":%s,\n' "$(broker_url hub)" "$postgres"
    printf '"mariadb_socket":"%s","mariadb_user":"%s",\n' "$(MARIADB_SOCKET)" "$STACK_USER"
    printf '"mariadb_remote":{"address":"127.0.0.1:%s","user":"kolga-remote","password":"%s"},\n' \
        "$(port_for mariadb)" "$(secret_for mariadb)"
    printf '"postgresql_remote":{"address":"127.0.0.1:%s","user":"kolga-remote","password":"%s"},\n' \
        "$(port_for postgres)" "$(secret_for postgres)"
    printf '"hub":{"config":"%s","listen":"127.0.0.1:%s","state_dir":"%s"},\n' \
        "$STACK/hub/hub.toml" "$(port_for hub)" "$STACK/hub"
    printf '"spokes":{%s}}\n' "$spokes"
}

# Writes all of them; stack.json last, because it says that everything is there.
config_write() {
    local spoke backups
    install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$STACK/hub"
    install -d -m 0755 -o "$STACK_USER" -g "$STACK_USER" "$STACK/sources"
    config_hub "$STACK/hub" "127.0.0.1:$(port_for hub)" "$(broker_url hub)" |
        write_for "$STACK_USER" 0600 "$STACK/hub/hub.toml"
    # Recipes that others than root could write are none, so they lie in no folder of a spoke's.
    install -d -m 0755 "$STACK/recipes"
    install -m 0644 "$KOLGA_ROOT"/deploy/recipes/*.toml "$STACK/recipes"
    for spoke in "$@"; do
        # Certificates are an operator's, here root's.
        install -d -m 0755 "$STACK/$spoke/tls"
        # The repository is made beside its own name first, so its folder has to be the worker's.
        install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$STACK/$spoke/backups" "$STACK/$spoke/extracted"
        [ -e "$STACK/$spoke/backup-password" ] ||
            openssl rand -hex 32 | write_for "$STACK_USER" 0600 "$STACK/$spoke/backup-password"
        {
            config_worker "$STACK/$spoke" "$spoke" "$(broker_url "$spoke")" "$(port_for "$spoke.nginx")" \
                "$(port_for "$spoke.tls")" "$STACK/$spoke/tls" "$(MARIADB_SOCKET)" "$STACK/sources" 127.0.0.1
            [ ! -e "$STACK/keep/postgres" ] || postgres_config "$STACK/postgres" "$(port_for postgres)"
            # Whoever tries Kolga on a busy machine should not wait, and some tests are about a full disk.
            printf '\n[gates]\nload_per_cpu = 100\nmemory_pressure_percent = 90\ndisk_free_mib = 0\n'
            # Tests make tasks stuck on purpose, and do not wait a minute for each.
            printf '\n[limits]\nundo_patience_seconds = 4\n'
            # Each its own, unless sites are to move between them: then all have the first's.
            backups="$STACK/$spoke"
            [ -z "${STACK_ONE_REPOSITORY:-}" ] || backups="$STACK/$1"
            printf '\n[backups]\nrepository = "%s"\npassword_file = "%s"\nextract_to = "%s"\n' \
                "$backups/backups/restic" "$backups/backup-password" "$STACK/$spoke/extracted"
            printf '\n[composer]\nsources = ["%s"]\n' "$STACK/sources"
            printf '\n[recipes]\ndirectories = ["%s"]\nusers = ["%s"]\n' "$STACK/recipes" "$WEB_USER"
            # Most tests look whether nothing is left of a site; those about the trash turn it on, and so does the demo.
            printf '\n[trash]\nkeep_days = %s\n' "${STACK_KEEP_DAYS:-0}"
        } | write_for "$STACK_USER" 0600 "$STACK/$spoke/worker.toml"
    done
    config_json "$@" | write_for root 0600 "$STACK/stack.json"
}
