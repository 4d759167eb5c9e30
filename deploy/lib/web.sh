# shellcheck shell=bash
# nginx and php-fpm of one spoke, each as www-data from its start: nothing here runs as root, so a
# worker may be allowed to test and reload it. Needs $STACK; WEB_USER owns what it writes.

WEB_USER=www-data

# The commands that the worker may run as www-data, word by word the same in worker.toml and sudoers.
# The staged configuration has a folder of its own, so that testing it touches nothing that serves.
web_argv() {
    local nginx="$STACK/$1/nginx"
    case "$2" in
    test) echo "/usr/sbin/nginx -t -q -e stderr -p $nginx/ -c $nginx/nginx.conf" ;;
    test_staged) echo "/usr/sbin/nginx -t -q -e stderr -p $nginx/staged/ -c $STACK/$1/conf/staged.conf" ;;
    reload) echo "/usr/sbin/nginx -s reload -e stderr -p $nginx/ -c $nginx/nginx.conf" ;;
    esac
}

web_folders() {
    local home="$STACK/$1"
    install -d -m 0711 -o "$STACK_USER" -g "$STACK_USER" "$home" "$home/sites"
    install -d -m 0700 -o "$STACK_USER" -g "$STACK_USER" "$home/state"
    install -d -m 0755 -o "$STACK_USER" -g "$STACK_USER" "$home/platforms" "$home/profiles" \
        "$home/conf" "$home/conf/sites.d"
    install -d -m 0755 -o "$WEB_USER" -g "$WEB_USER" "$home/nginx" "$home/nginx/staged" "$home/php"
    [ -e "$home/conf/kolga.conf" ] ||
        echo "include $home/conf/sites.d/*.conf;" |
        write_for "$STACK_USER" 0644 "$home/conf/kolga.conf"
}

# The operator's side of nginx: everything but the sites.
web_nginx_conf() {
    local home="$STACK/$1" kind
    cat <<CONF
worker_processes 1;
pid $home/nginx/nginx.pid;
error_log $home/nginx/error.log;
events { worker_connections 256; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    server_tokens off;
    server_names_hash_bucket_size 128;
    client_max_body_size 64m;
    access_log $home/nginx/access.log;
$(for kind in client_body proxy fastcgi uwsgi scgi; do echo "    ${kind}_temp_path $home/nginx/tmp-$kind;"; done)
    # A host that is no site of ours.
    server {
        listen 127.0.0.1:$(port_for "$1.nginx") default_server;
        return 404;
    }
    include $home/conf/kolga.conf;
}
CONF
}

web_php_conf() {
    local home="$STACK/$1/php"
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

web_start() {
    local spoke="$1" home="$STACK/$1"
    web_folders "$spoke"
    if ! proc_alive "$spoke.php"; then
        proc_stop "$spoke.php" QUIT 10
        rm -f "$home/php/fpm.sock"
        web_php_conf "$spoke" | write_for root 0644 "$home/php/fpm.conf"
        proc_start "$spoke.php" "$WEB_USER" "$home/php" -- "$(web_fpm)" --nodaemonize \
            --fpm-config "$home/php/fpm.conf"
    fi
    if ! proc_alive "$spoke.nginx"; then
        proc_stop "$spoke.nginx" QUIT 10
        ! port_taken "$(port_for "$spoke.nginx")" ||
            die "port $(port_for "$spoke.nginx") of $spoke's nginx is taken by another program, and the sites there name it: stop that program, or take the stack down and remove $STACK"
        web_nginx_conf "$spoke" | write_for root 0644 "$home/nginx/nginx.conf"
        proc_start "$spoke.nginx" "$WEB_USER" "$home/nginx" -- /usr/sbin/nginx -e stderr \
            -p "$home/nginx/" -c "$home/nginx/nginx.conf" -g 'daemon off;'
    fi
}

web_fpm() { find /usr/sbin -name 'php-fpm[0-9]*' | sort -V | tail -n 1; }

web_wait() {
    wait_until 20 "php-fpm of $1" "$1.php" test -S "$STACK/$1/php/fpm.sock"
    wait_until 20 "nginx of $1" "$1.nginx" port_taken "$(port_for "$1.nginx")"
}

web_stop() {
    proc_stop "$1.nginx" QUIT 10
    proc_stop "$1.php" QUIT 10
}

# sudo compares the whole argument list; a program that is allowed with these arguments is allowed
# with no others.
web_sudoers() {
    local spoke what
    echo "# Written by deploy/stack for $STACK; deploy/stack down removes it."
    for spoke in "$@"; do
        for what in test test_staged reload; do
            echo "$STACK_USER ALL=($WEB_USER) NOPASSWD: $(web_argv "$spoke" "$what")"
        done
    done
}

web_sudoers_file() { printf '/etc/sudoers.d/kolga-demo-%s' "$STACK_ID"; }

web_allow() {
    local file
    file="$(web_sudoers_file)"
    web_sudoers "$@" >"$STACK/keep/sudoers"
    cmp -s "$STACK/keep/sudoers" "$file" && return 0
    visudo -cqf "$STACK/keep/sudoers" || die "sudo does not accept $STACK/keep/sudoers"
    # sudo ignores names with a dot, so a half-written file never counts.
    install -m 0440 "$STACK/keep/sudoers" "$file.new"
    mv -f "$file.new" "$file"
}

web_forbid() { rm -f "$(web_sudoers_file)" "$(web_sudoers_file).new"; }
