# shellcheck shell=bash
# nginx and php-fpm of a stack's spokes as tracked processes. Needs $STACK, lib/proc.sh and lib/web.sh.

spoke_start() {
    local spoke="$1" home="$STACK/$1" argv
    web_folders "$home"
    if ! proc_alive "$spoke.php"; then
        proc_stop "$spoke.php" QUIT 10
        rm -f "$home/php/fpm.sock"
        web_php_conf "$home" | write_for root 0644 "$home/php/fpm.conf"
        read -ra argv <<<"$(web_fpm_argv "$home")"
        proc_start "$spoke.php" "$WEB_USER" "$home/php" -- "${argv[@]}"
    fi
    if ! proc_alive "$spoke.nginx"; then
        proc_stop "$spoke.nginx" QUIT 10
        ! port_taken "$(port_for "$spoke.nginx")" ||
            die "port $(port_for "$spoke.nginx") of $spoke's nginx is taken by another program, and the sites there name it: stop that program, or take the stack down and remove $STACK"
        web_nginx_conf "$home" "$(port_for "$spoke.tls")" "127.0.0.1:$(port_for "$spoke.nginx")" |
            write_for root 0644 "$home/nginx/nginx.conf"
        read -ra argv <<<"$(web_nginx_argv "$home")"
        proc_start "$spoke.nginx" "$WEB_USER" "$home/nginx" -- "${argv[@]}" -g 'daemon off;'
    fi
}

spoke_wait() {
    wait_until 20 "php-fpm of $1" "$1.php" test -S "$STACK/$1/php/fpm.sock"
    wait_until 20 "nginx of $1" "$1.nginx" port_taken "$(port_for "$1.nginx")"
}

spoke_stop() {
    proc_stop "$1.nginx" QUIT 10
    proc_stop "$1.php" QUIT 10
}

spokes_sudoers_file() { printf '/etc/sudoers.d/kolga-demo-%s' "$STACK_ID"; }

spokes_allow() { web_allow "$(spokes_sudoers_file)" "${@/#/$STACK/}"; }
