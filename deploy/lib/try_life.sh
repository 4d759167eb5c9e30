# shellcheck shell=bash
# A site's life over the machines, each step as an operator types it, and the pages fetched from another machine than
# the one that serves them. Used by deploy/try-debian; needs lib/machines.sh.

BLOG=blog.kolga.test
SHOP=shop.kolga.test
PAGE=page.kolga.test

# The operator's commands, where the hub is.
kolga() { on hub sudo kolga "$@"; }

# page SPOKE URL TEXT: what a visitor gets from that spoke's nginx.
page() {
    local host="${2#*://}"
    host="${host%%/*}"
    on hub curl -fsS --insecure --max-time 30 --resolve "$host:80:$(machine_address "$1")" \
        --resolve "$host:443:$(machine_address "$1")" "$2" | grep -F "$3" >/dev/null
}

# status CODE SPOKE URL: the status alone.
status() {
    local host="${3#*://}"
    host="${host%%/*}"
    [ "$(on hub curl -sS --max-time 30 -o /dev/null -w '%{http_code}' \
        --resolve "$host:80:$(machine_address "$2")" "$3")" = "$1" ]
}

no_differences() { [ "$(kolga --json server inventory "$1" | jq '.differences | length')" = 0 ]; }

# A certificate of an operator's, as OPERATIONS says where and whose.
bring_certificate() {
    local folder="/etc/kolga/tls/$2"
    on "$1" install -d -m 0755 "$folder"
    on "$1" bash -euo pipefail -c "cd \"\$(mktemp -d)\"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=$2 \
            -addext subjectAltName=DNS:$2 -keyout privkey.pem -out fullchain.pem 2>/dev/null
        install -m 0644 fullchain.pem $folder/
        install -o kolga -g www-data -m 0640 privkey.pem $folder/"
}

login_link_opens() {
    local link
    link="$(kolga --json site login "$BLOG" | jq -r .link)"
    page "$1" "${link%%#*}" '<'
}

life() {
    local spoke
    for spoke in "${SPOKES[@]}"; do
        check "inventory of $spoke: hub, book and disk agree" no_differences "$spoke"
        check "platform wordpress on $spoke" kolga platform add wordpress --server "$spoke" --profile wordpress \
            --source /usr/share/wordpress --wait
    done
    check "WordPress with a pool of its own" kolga site install "$BLOG" --server web1 --profile wordpress \
        --platform wordpress --own-pool --option 'title=Kolga under systemd' --wait
    check "PHP with PostgreSQL and a pool of its own" kolga site install "$SHOP" --server web1 --profile php \
        --database postgresql --own-pool --wait
    check "a static site" kolga site install "$PAGE" --server web1 --profile static --wait
    check "all three answer on port 80" three_answer
    check "backup over SFTP" kolga site backup "$BLOG" --wait
    check "backup of the one in PostgreSQL" kolga site backup "$SHOP" --wait
    check "no backup without the files, where they lie elsewhere" left_out
    check "a second platform" kolga platform add wordpress-2 --server web1 --profile wordpress \
        --source /usr/share/wordpress --wait
    check "the same on web2" kolga platform add wordpress-2 --server web2 --profile wordpress \
        --source /usr/share/wordpress --wait
    check "migrate to it" kolga site migrate "$BLOG" --to wordpress-2 --wait
    check "HTTPS on port 443" https "$PAGE"
    check "a link to log in" login_link_opens web1
    moves
    check "verify all of them, in one operation" kolga site verify --all --wait
    check "delete, with a backup first" kolga site delete "$PAGE" --yes --wait
    check "it answers no more" status 404 web1 "http://$PAGE/"
    for spoke in "${SPOKES[@]}"; do check "inventory of $spoke" no_differences "$spoke"; done
}

# Files whose device is not their folder's, as on some overlays: restic, told to stay on one file system, leaves them out.
left_out() {
    local mark="/srv/kolga/sites/$PAGE/.kolga-owner" told made=''
    on web1 bash -c "cat $mark >/run/kolga-mark && mount --bind /run/kolga-mark $mark"
    told="$(kolga site backup "$PAGE" --wait 2>&1)" && made=yes
    on web1 umount "$mark"
    [ -z "$made" ] && grep -F 'restic would leave them out' <<<"$told" && kolga site backup "$PAGE" --wait
}

moves() {
    check "move to web2: WordPress" kolga site move "$BLOG" --to-server web2 --wait
    check "move to web2: PHP with PostgreSQL" kolga site move "$SHOP" --to-server web2 --wait
    check "both answer there" both_moved
    check "a link to log in there" login_link_opens web2
}

three_answer() {
    page web1 "http://$BLOG/" 'Kolga under systemd' && page web1 "http://$SHOP/" 'made by Kolga' &&
        page web1 "http://$PAGE/" '<html'
}

both_moved() {
    page web2 "http://$BLOG/" 'Kolga under systemd' && page web2 "http://$SHOP/" 'made by Kolga' &&
        status 404 web1 "http://$BLOG/"
}

https() {
    bring_certificate web1 "$1"
    kolga site https "$1" redirect --wait
    page web1 "https://$1/" '<html' && status 301 web1 "http://$1/"
}
