# shellcheck shell=bash
# nginx and php-fpm of one spoke, each as a user of its own from its start: neither runs as root, so a
# worker may be allowed to test and reload nginx. A pool that a site can have to itself is a php-fpm of its own: its
# master is root's, with a configuration that only root can write, and its children are a user's who has nothing else.
# A spoke is one folder, called HOME below, in a stack or on a real server. Needs $STACK_USER, whom the worker runs as.

WEB_USER=www-data
# As whom sudo runs nginx for the worker, and through what.
WEB_RUNAS="$WEB_USER"
WEB_THROUGH=''

# web_argv HOME WHAT: what the worker may run, word by word the same in worker.toml and in sudoers. The
# staged configuration has a folder of its own, so that testing it touches nothing that serves.
web_argv() {
    local nginx="$1/nginx"
    case "$2" in
    test) echo "$WEB_THROUGH/usr/sbin/nginx -t -q -e stderr -p $nginx/ -c $nginx/nginx.conf" ;;
    test_staged) echo "$WEB_THROUGH/usr/sbin/nginx -t -q -e stderr -p $nginx/staged/ -c $1/conf/staged.conf" ;;
    reload) echo "$WEB_THROUGH/usr/sbin/nginx -s reload -e stderr -p $nginx/ -c $nginx/nginx.conf" ;;
    esac
}

# web_privileged: for ports below 1024. Even a test binds them, so sudo goes through a program that
# becomes www-data and keeps the one right to do that.
web_privileged() {
    WEB_RUNAS=root
    WEB_THROUGH="/usr/bin/setpriv --reuid $WEB_USER --regid $WEB_USER --init-groups"
    WEB_THROUGH+=" --inh-caps +net_bind_service --ambient-caps +net_bind_service "
}

# web_php_user HOME: as whom the php-fpm that sites share runs. Whoever could read there what nginx reads could read all
# sites, so it is not nginx's user, but where an earlier release has made it so.
web_php_user() {
    if [ -d "$1/php" ]; then stat -c %U "$1/php"; else echo kolga-php; fi
}

# web_user NAME: makes a user who can do nothing. One caller at a time: useradd does not wait for another.
web_user() {
    getent passwd "$1" >/dev/null || {
        (
            flock 8
            getent passwd "$1" >/dev/null ||
                useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$1"
        ) 8>/run/kolga-users.lock
    }
}

web_folders() {
    local home="$1" php
    php="$(web_php_user "$home")"
    web_user "$php"
    install -d -m 0711 -o "$STACK_USER" -g "$STACK_USER" "$home" "$home/sites"
    install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$home/state"
    install -d -m 0755 -o "$STACK_USER" -g "$STACK_USER" "$home/platforms" "$home/profiles" \
        "$home/conf" "$home/conf/sites.d"
    install -d -m 0755 -o "$WEB_USER" -g "$WEB_USER" "$home/nginx" "$home/nginx/staged"
    install -d -m 0755 -o "$php" -g "$php" "$home/php"
    [ -e "$home/conf/kolga.conf" ] ||
        echo "include $home/conf/sites.d/*.conf;" |
        write_for "$STACK_USER" 0644 "$home/conf/kolga.conf"
}

# web_everywhere PORT: every address of this machine, as the worker's sites have it.
web_everywhere() {
    echo "$1"
    [ ! -e /proc/net/if_inet6 ] || echo "[::]:$1"
}

# web_nginx_conf HOME TLS_PORT ADDRESS...: the operator's side of nginx, which is everything but the sites. The
# addresses must be those of the sites, or a site would never be asked; over TLS they have another port.
web_nginx_conf() {
    local home="$1" tls="$2" kind
    shift 2
    cat <<CONF
worker_processes 1;
pid $home/nginx/nginx.pid;
error_log $home/nginx/error.log;
events { worker_connections 256; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    server_tokens off;
    server_names_hash_bucket_size 512;
    server_names_hash_max_size 8192;
    client_max_body_size 64m;
    access_log $home/nginx/access.log;
    # nginx before 1.23.1 forgets to time a FastCGI answer whose pieces fill its buffers to the last byte (ticket 2367),
    # and at a reload breaks off what it does not time. PHP sends in pieces of 8 KiB, which do not fill these.
    fastcgi_buffer_size 16383;
    fastcgi_buffers 16 16383;
$(for kind in client_body proxy fastcgi uwsgi scgi; do echo "    ${kind}_temp_path $home/nginx/tmp-$kind;"; done)
    # A host that is no site of ours.
    server {
$(printf '        listen %s default_server;\n' "$@")
        return 404;
    }
    # Over TLS it gets no certificate, since each would be another host's.
    server {
$(printf '        listen %s ssl default_server;\n' "$@" | sed -E "s/[0-9]+ ssl/$tls ssl/")
        ssl_reject_handshake on;
    }
    include $home/conf/kolga.conf;
}
CONF
}

web_php_conf() {
    local home="$1/php"
    cat <<CONF
[global]
pid = $home/fpm.pid
error_log = $home/error.log
daemonize = no
[www]
listen = $home/fpm.sock
; nginx serves through it; the worker looks whether it answers.
listen.acl_users = $WEB_USER,$STACK_USER
pm = ondemand
pm.max_children = 5
pm.process_idle_timeout = 30s
catch_workers_output = yes
php_admin_value[memory_limit] = 256M
CONF
}

# web_pool_folders HOME USER...: what a pool has besides its user. Only what is temporary is the user's.
web_pool_folders() {
    local home="$1" user
    shift
    install -d -m 0755 "$home/pools"
    for user in "$@"; do
        web_user "$user"
        install -d -m 0755 "$home/pools/$user"
        install -d -m 0700 -o "$user" -g "$user" "$home/pools/$user/tmp"
    done
}

# web_pool_conf HOME USER: of each pool a php-fpm, so that no site's code lies in memory that another's can reach.
web_pool_conf() {
    local home="$1/pools" user="$2"
    cat <<CONF
[global]
pid = $home/$user/fpm.pid
error_log = $home/$user/error.log
daemonize = no
[$user]
user = $user
group = $user
listen = $home/$user.sock
; nginx serves through it; the worker looks whether it answers.
listen.acl_users = $WEB_USER,$STACK_USER
; However many ask, the others have the rest of the machine.
pm = ondemand
pm.max_children = 5
pm.process_idle_timeout = 30s
pm.max_requests = 1000
rlimit_core = 0
catch_workers_output = yes
php_admin_value[memory_limit] = 256M
php_admin_value[sys_temp_dir] = $home/$user/tmp
php_admin_value[upload_tmp_dir] = $home/$user/tmp
php_admin_value[session.save_path] = $home/$user/tmp
CONF
}

# web_pool_argv HOME USER: what it starts gains no right by a program's set-user-id bit.
web_pool_argv() {
    echo "/usr/bin/setpriv --no-new-privs $(web_fpm) --nodaemonize --fpm-config $1/pools/$2/fpm.conf"
}

# The programs, in the foreground.
web_fpm_argv() { echo "$(web_fpm) --nodaemonize --fpm-config $1/php/fpm.conf"; }
web_nginx_argv() { echo "/usr/sbin/nginx -e stderr -p $1/nginx/ -c $1/nginx/nginx.conf"; }

web_fpm() { find /usr/sbin -name 'php-fpm[0-9]*' | sort -V | tail -n 1; }

# web_pools HOME: the users of its pools, in their order.
web_pools() {
    local folder
    for folder in "$1"/pools/*/; do
        [ ! -d "$folder" ] || basename "$folder"
    done
}

# web_sudoers HOME...: sudo compares the whole argument list; what is allowed with these arguments is
# allowed with no others. As the user of a pool the worker may run anything: it writes the code that runs there anyway,
# and such a user is nobody else.
web_sudoers() {
    local home what pool
    echo "# Written by Kolga's deploy scripts: testing and reloading nginx, and what runs as a pool's user."
    # Each use is logged as one line; a session of PAM's for each would be three more, and might leave the cgroup.
    echo "Defaults:$STACK_USER !pam_session"
    for home in "$@"; do
        for what in test test_staged reload; do
            echo "$STACK_USER ALL=($WEB_RUNAS) NOPASSWD: $(web_argv "$home" "$what")"
        done
        for pool in $(web_pools "$home"); do
            echo "$STACK_USER ALL=($pool) NOPASSWD: /usr/bin/setpriv --no-new-privs -- *"
        done
    done
}

# web_allow FILE HOME...: writes a file below /etc/sudoers.d.
web_allow() {
    local file="$1" new="$1.kolga.new"
    shift
    # sudo ignores names with a dot, so an unchecked file never counts.
    (umask 0337 && rm -f "$new" && web_sudoers "$@" >"$new")
    visudo -cqf "$new" || die "sudo does not accept $new"
    mv -f "$new" "$file"
}
