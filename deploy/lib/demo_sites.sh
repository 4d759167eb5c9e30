# shellcheck shell=bash
# What the demo does with the hub once it runs: two servers, a platform, two sites, and where to look.
# Every step asks first what is there, so that a demo can be repeated. Needs lib/daemons.sh.

BLOG=blog.demo.localhost
PAGE=page.demo.localhost
# Only where the demo has a PostgreSQL.
DATA=data.demo.localhost

heading() { printf '\n== %s\n' "$*" >&2; }

# Prints a field of what the hub says, or nothing where it does not know the object.
hub_field() {
    local field="$1"
    shift
    hub_cli --json "$@" 2>/dev/null | jq -r "$field // empty"
}

demo_servers() {
    local spoke
    for spoke in $(stack_spokes); do
        if [ -z "$(hub_field .name server show "$spoke")" ]; then
            heading "kolga server add $spoke"
            hub_cli server add "$spoke"
        fi
    done
}

demo_verify() {
    local spoke
    for spoke in $(stack_spokes); do
        heading "kolga server verify $spoke --follow"
        hub_cli server verify "$spoke" --follow
    done
}

# made NOUN ARGUMENTS...: whether the object is there. One that a task is at is waited for first.
made() {
    local condition task
    condition="$(hub_field .condition "$@")"
    if [ "$condition" = pending ] || [ "$condition" = removing ]; then
        task="$(hub_field .task "$@")"
        say "A task of an earlier run is still at it; waiting for $task"
        hub_cli task wait "$task" || true
        condition="$(hub_field .condition "$@")"
    fi
    [ "$condition" = ready ]
}

# whose NAME: the site that has this name now, which may have been renamed since; NAME where nobody has it.
whose() {
    local site
    site="$(hub_cli --json site list | jq -r --arg name "$1" \
        '[.items[] | select(([.host, .main] + .aliases + .redirects) | index($name)) | .host][0] // empty')"
    if [ -n "$site" ] && [ "$site" != "$1" ]; then say "$1 is a name of $site now"; fi
    printf '%s\n' "${site:-$1}"
}

demo_sites() {
    BLOG="$(whose "$BLOG")"
    PAGE="$(whose "$PAGE")"
    if ! made platform show wordpress --server web1; then
        heading "kolga platform add wordpress --server web1 --profile wordpress --source /usr/share/wordpress --follow"
        hub_cli platform add wordpress --server web1 --profile wordpress \
            --source /usr/share/wordpress --follow
    fi
    if ! made site show "$BLOG"; then
        heading "kolga site install $BLOG --server web1 --profile wordpress --platform wordpress --option title='Hello from Kolga' --follow"
        hub_cli site install "$BLOG" --server web1 --profile wordpress --platform wordpress \
            --option "title=Hello from Kolga" --follow
    fi
    if ! made site show "$PAGE"; then
        heading "kolga site install $PAGE --server web2 --profile static --follow"
        hub_cli site install "$PAGE" --server web2 --profile static --follow
    fi
    [ -e "$STACK/keep/postgres" ] || return 0
    DATA="$(whose "$DATA")"
    if ! made site show "$DATA"; then
        heading "kolga site install $DATA --server web1 --profile php --database postgresql --follow"
        hub_cli site install "$DATA" --server web1 --profile php --database postgresql --follow
    fi
}

# port_of HOST: where the nginx of its server listens.
port_of() { port_for "$(hub_field .server site show "$1").nginx"; }

# demo_page HOST: fetches a page through its server's nginx and prints its title.
demo_page() {
    local port page title
    port="$(port_of "$1")"
    page="$(curl -fsS --max-time 30 --resolve "$1:$port:127.0.0.1" "http://$1:$port/")" ||
        die "$1 does not answer; see deploy/demo kolga task list, and the logs in $STACK/log"
    title="$(tr '\n' ' ' <<<"$page" | sed -n 's/.*<title>\([^<]*\)<.*/\1/p')"
    printf '  http://%s:%s/   %s bytes, "%s"\n' "$1" "$port" "${#page}" "$title"
}

demo_fetch() {
    heading "Their pages, fetched through nginx"
    demo_page "$BLOG"
    demo_page "$PAGE"
    [ ! -e "$STACK/keep/postgres" ] || demo_page "$DATA"
}

demo_data() {
    [ -e "$STACK/keep/postgres" ] || { printf '  (deploy/demo --postgresql adds a site that has its data in PostgreSQL)' && return; }
    printf '  http://%s:%s/            the PHP site with its data in PostgreSQL' "$DATA" "$(port_of "$DATA")"
}

demo_farewell() {
    local demo="$KOLGA_ROOT/deploy/demo" server
    server="$(hub_field .server site show "$BLOG")"
    [ "$STACK" = /var/tmp/kolga-demo ] || demo+=" --dir $STACK"
    cat <<TEXT

Look
  http://$BLOG:$(port_of "$BLOG")/            the WordPress site (*.localhost is this machine)
  http://$BLOG:$(port_of "$BLOG")/wp-admin/   as admin, with the password that this prints:
  $demo worker $server secret show $BLOG
  http://$PAGE:$(port_of "$PAGE")/            the static site
$(demo_data)
  $demo kolga server list
  $demo kolga task list

Kill it in the middle, start it again, and look for leftovers
  $demo kolga site install second.demo.localhost --server web1 --profile wordpress --platform wordpress
  $demo kill worker.web1
  ls $STACK/web1/sites          # half made
  $demo start
  $demo kolga task list         # rolled back, and a second attempt

Stop
  $demo stop

Done in $1 seconds. The data are in $STACK, the logs in $STACK/log.
TEXT
}

demo_kill() {
    local name="${1:-}" pid
    pid="$(proc_pid "${name:-none}")" || die "give the name of one that runs: $(ls -C "$STACK/run")"
    kill -KILL "$pid"
    say "Killed $name (pid $pid). deploy/demo start brings it back."
}
