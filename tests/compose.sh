#!/usr/bin/env bash
# The compose cluster, shown to work: starts a container engine if none runs, makes the base image if it
# cannot be pulled, brings the cluster up, installs a WordPress site and a static one over it, asks both
# for their pages, kills a spoke and asks again, and takes everything down. Not part of deploy/test.
#
#   tests/compose.sh            with release programs, built here
#   tests/compose.sh debug      with those in target/debug, as deploy/test leaves them
set -euo pipefail
# shellcheck source=../deploy/lib/base.sh
. "$(dirname "$(realpath "$0")")/../deploy/lib/base.sh"
become_root "$@"
# shellcheck source=../deploy/lib/rust.sh
. "$KOLGA_ROOT/deploy/lib/rust.sh"

ENGINE=''
BLOG=blog.compose.localhost
PAGE=page.compose.localhost

phase() { printf '\n== %s (%s s)\n' "$*" "$SECONDS" >&2; }

compose() { docker-compose --project-name kolga-test --file "$KOLGA_ROOT/docker-compose.yml" "$@"; }

# The same commands as an operator's, in the hub's container.
kolga() { compose exec -T hub kolga "$@"; }

# poll SECONDS WHAT COMMAND...
poll() {
    local until=$((SECONDS + $1)) what="$2"
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || die "$what did not come about"
        sleep 0.5
    done
}

engine_start() {
    ! docker info >/dev/null 2>&1 || return 0
    say "No container engine runs; starting one for this test"
    dockerd >/var/log/kolga-compose-dockerd.log 2>&1 &
    ENGINE=$!
    poll 60 "the container engine (see /var/log/kolga-compose-dockerd.log)" docker info
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
    local status=$?
    trap - EXIT
    if [ "$status" -ne 0 ]; then
        compose logs --tail 40 >&2 || true
    fi
    compose down --volumes --timeout 100 >&2 || true
    if [ -n "$ENGINE" ]; then
        kill -TERM "$ENGINE" || true
        wait "$ENGINE" || true
    fi
    exit "$status"
}

# answers PORT HOST TEXT: the page of a site, through the spoke's published port.
answers() {
    curl -fsS --max-time 20 --resolve "$2:$1:127.0.0.1" "http://$2:$1/" | grep -q "$3"
}

install_sites() {
    kolga server add web1
    kolga server add web2
    kolga server verify web1 --follow
    kolga server verify web2 --follow
    kolga platform add wordpress --server web1 --profile wordpress --source /usr/share/wordpress --follow
    kolga site install "$BLOG" --server web1 --profile wordpress --platform wordpress \
        --option "title=Kolga in containers" --follow
    kolga site install "$PAGE" --server web2 --profile static --follow
}

look() {
    poll 60 "the page of $BLOG" answers 8081 "$BLOG" "Kolga in containers"
    poll 60 "the page of $PAGE" answers 8082 "$PAGE" "<html"
}

main() {
    local programs=target/release
    "$KOLGA_ROOT/deploy/packages" tools containers
    case "${1:-release}" in
    release)
        phase "building the programs"
        "$KOLGA_ROOT/deploy/packages" build
        rust_ensure
        rust_cargo build --release --locked --package kolga --package kolga-worker
        ;;
    debug) programs=target/debug ;;
    *) sed -n '3,/^set/{s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
    esac
    export KOLGA_PROGRAMS="$programs"
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    phase "the engine and the base image"
    engine_start
    "$KOLGA_ROOT/deploy/images/make-base"
    "$KOLGA_ROOT/deploy/images/make-secrets"
    phase "the images"
    compose build >&2
    phase "the cluster"
    compose down --volumes >&2
    compose up --detach >&2
    poll 120 "the hub's API" compose exec -T hub curl -fsS http://127.0.0.1:7480/v1/health
    phase "two servers, a platform, two sites"
    install_sites
    look
    phase "a spoke is killed and comes back"
    compose kill web1 >&2
    compose up --detach >&2
    look
    kolga server verify web1 --follow
    phase "taking it down"
}

main "$@"
