# shellcheck shell=bash
# nginx and php-fpm of a stack's spokes as tracked processes. Needs $STACK, lib/authority.sh,
# lib/proc.sh and lib/web.sh.

# How many sites of a spoke can have a pool to themselves.
SPOKE_POOLS=3

# spoke_pools SPOKE: the users of a spoke's pools. No two stacks have one in common, since all processes of a user can be
# ended by either.
spoke_pools() {
    local number id
    id="$(printf '%s' "$STACK/$1" | sha256sum | cut -c1-8)"
    for number in $(seq "$SPOKE_POOLS"); do echo "kolga-$id-$number"; done
}

spoke_start() {
    local spoke="$1" home="$STACK/$1" argv pool
    web_folders "$home"
    # shellcheck disable=SC2046 # one word a user
    web_pool_folders "$home" $(spoke_pools "$spoke")
    for pool in $(web_pools "$home"); do spoke_pool_start "$spoke" "$pool"; done
    if ! proc_alive "$spoke.php"; then
        proc_stop "$spoke.php" QUIT 10
        rm -f "$home/php/fpm.sock"
        { web_php_conf "$home" && authority_php; } | write_for root 0644 "$home/php/fpm.conf"
        read -ra argv <<<"$(web_fpm_argv "$home")"
        proc_start "$spoke.php" "$(web_php_user "$home")" "$home/php" -- "${argv[@]}"
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

# spoke_pool_start SPOKE USER: its master is root's, who makes its children that user's.
spoke_pool_start() {
    local name="$1.pool.$2" home="$STACK/$1" argv
    ! proc_alive "$name" || return 0
    proc_stop "$name" QUIT 10
    rm -f "$home/pools/$2.sock"
    { web_pool_conf "$home" "$2" && authority_php; } | write_for root 0644 "$home/pools/$2/fpm.conf"
    read -ra argv <<<"$(web_pool_argv "$home" "$2")"
    proc_start "$name" root "$home/pools/$2" -- "${argv[@]}"
}

spoke_wait() {
    local pool
    for pool in $(web_pools "$STACK/$1"); do
        wait_until 20 "the pool $pool of $1" "$1.pool.$pool" test -S "$STACK/$1/pools/$pool.sock"
    done
    wait_until 20 "php-fpm of $1" "$1.php" test -S "$STACK/$1/php/fpm.sock"
    wait_until 20 "nginx of $1" "$1.nginx" port_taken "$(port_for "$1.nginx")"
}

spoke_stop() {
    local pool
    for pool in $(web_pools "$STACK/$1"); do proc_stop "$1.pool.$pool" QUIT 10; done
    proc_stop "$1.nginx" QUIT 10
    proc_stop "$1.php" QUIT 10
}

spokes_sudoers_file() { printf '/etc/sudoers.d/kolga-demo-%s' "$STACK_ID"; }

spokes_allow() { web_allow "$(spokes_sudoers_file)" "${@/#/$STACK/}"; }
