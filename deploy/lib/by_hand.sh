# shellcheck shell=bash
# The work of a site done by hand: what an administrator types with plain commands, for deploy/bench-sites to set
# beside Kolga's tasks. It ends in the same state (a site that answers, its database, its backup), and takes no care of
# what happens when it is interrupted. Needs lib/stack.sh and root; works on the second spoke, whose worker does not run.
# A host is a folder, a file in nginx's folder of sites, and where it needs one a database `h_<host>`.

hand_home() { echo "$STACK/web2"; }
hand_site() { echo "$STACK/web2/sites/$1"; }
hand_vhost() { echo "$STACK/web2/conf/sites.d/$1.conf"; }
hand_database() { tr '.-' '__' <<<"h_$1"; }
hand_code() { echo "$STACK/hand/$1"; }

# hand_as USER COMMAND...; as the users of nginx and of php-fpm.
hand_as() { (cd / && exec setpriv --reuid "$1" --regid "$1" --init-groups -- "${@:2}"); }
hand_web() { hand_as "$WEB_USER" "$@"; }
hand_php_user() { web_php_user "$(hand_home)"; }
hand_php() { hand_as "$(hand_php_user)" php "$@"; }

hand_reload() {
    # shellcheck disable=SC2046 # words
    hand_web $(web_argv "$(hand_home)" test)
    # shellcheck disable=SC2046
    hand_web $(web_argv "$(hand_home)" reload)
}

# hand_answers HOST STATUS [TEXT [PATH]]: waits until nginx says so; a reload takes effect a moment later.
hand_answers() {
    local port page try
    port="$(port_for web2.nginx)"
    for ((try = 0; try < 500; try++)); do
        page="$(curl -sS --max-time 30 --write-out '\n%{http_code}' --resolve "$1:$port:127.0.0.1" "http://$1:$port${4:-/}")"
        [ "${page##*$'\n'}" != "$2" ] || [[ "$page" != *"${3:-}"* ]] || return 0
        sleep 0.01
    done
    tail -n 40 <<<"$page" >&2
    die "$1 does not answer with $2 and '${3:-}' by hand"
}

# The code that all sites of a kind share, and a second of it to which they move, made once and not measured: Kolga's
# platforms are not either.
hand_prepare() {
    local code
    install -d -m 0755 "$STACK/hand"
    code="$(hand_code wordpress)"
    cp -rL /usr/share/wordpress "$code"
    # shellcheck disable=SC2016 # PHP's variables
    printf '<?php\nrequire "%s/config-" . $_SERVER["SERVER_NAME"] . ".php";\n%s\n' "$STACK/hand" \
        'require_once ABSPATH . "wp-settings.php";' >"$code/wp-config.php"
    cp -r "$code" "$(hand_code wordpress-2)"
    cp -rL /usr/share/mediawiki "$(hand_code mediawiki-2)"
    rm -f "$(hand_code mediawiki-2)/LocalSettings.php"
    RESTIC_REPOSITORY="$STACK/hand/restic" RESTIC_PASSWORD_FILE="$STACK/web2/backup-password" restic init --quiet
}

hand_php_location() {
    cat <<CONF
    location ~ \.php\$ {
        try_files \$uri =404;
        include /etc/nginx/fastcgi.conf;
        fastcgi_pass unix:$(hand_home)/php/fpm.sock;
$1
    }
CONF
}

# hand_write_vhost PROFILE HOST
hand_write_vhost() {
    local site root fallback='=404' php=''
    site="$(hand_site "$2")"
    root="$site/docroot"
    case "$1" in
    php) php="$(hand_php_location '')" ;;
    wordpress)
        root="$(hand_code wordpress)" fallback="/index.php?\$args"
        php="location ^~ /wp-content/ { alias $site/content/; }
$(hand_php_location '')"
        ;;
    mediawiki)
        root=/usr/share/mediawiki fallback="/index.php?\$args"
        php="$(hand_php_location "        fastcgi_param MW_CONFIG_FILE $site/LocalSettings.php;")"
        ;;
    drupal)
        root="$(hand_code drupal)/web" fallback="/index.php?\$args"
        php="$(hand_php_location '')"
        ;;
    esac
    cat >"$(hand_vhost "$2")" <<CONF
server {
    listen 127.0.0.1:$(port_for web2.nginx);
    server_name $2;
    root $root;
    index index.php index.html;
    location / { try_files \$uri \$uri/ $fallback; }
$php
}
CONF
}

# Prints what its first page has to hold.
hand_text() {
    case "$1" in
    static | php) echo "by hand" ;;
    wordpress) echo wp-site-blocks ;;
    mediawiki) echo mw-content-text ;;
    drupal) echo form_build_id ;;
    esac
}

hand_path() {
    case "$1" in
    mediawiki) echo "/index.php?title=Special:BlankPage" ;;
    drupal) echo /user/login ;;
    *) echo / ;;
    esac
}

hand_has_database() { case "$1" in static | php) false ;; esac }

hand_check() { hand_answers "$2" 200 "$(hand_text "$1")" "$(hand_path "$1")"; }

# hand_make_database HOST PASSWORD
hand_make_database() {
    local database
    database="$(hand_database "$1")"
    mariadb_root <<SQL
CREATE DATABASE $database;
CREATE USER '$database'@'localhost' IDENTIFIED BY '$2';
GRANT ALL ON $database.* TO '$database'@'localhost';
SQL
}

hand_wordpress() {
    local host="$1" site password url key
    site="$(hand_site "$host")" password="$(openssl rand -hex 16)" url="http://$1:$(port_for web2.nginx)"
    hand_make_database "$host" "$password"
    install -d -o "$(hand_php_user)" -g "$(hand_php_user)" "$site/content/uploads"
    ln -s "$(hand_code wordpress)"/wp-content/{themes,plugins} "$site/content/"
    {
        printf '<?php\n'
        printf "define('%s', '%s');\n" DB_NAME "$(hand_database "$host")" DB_USER "$(hand_database "$host")" \
            DB_PASSWORD "$password" DB_HOST "localhost:$(MARIADB_SOCKET)" WP_HOME "$url" WP_SITEURL "$url" \
            WP_CONTENT_DIR "$site/content" WP_CONTENT_URL "$url/wp-content"
        for key in AUTH_KEY SECURE_AUTH_KEY LOGGED_IN_KEY NONCE_KEY AUTH_SALT SECURE_AUTH_SALT LOGGED_IN_SALT NONCE_SALT; do
            printf "define('%s', '%s');\n" "$key" "$(openssl rand -hex 32)"
        done
        # shellcheck disable=SC2016
        printf '$table_prefix = "wp_";\n'
    } >"$STACK/hand/config-$host.php"
    chgrp "$(hand_php_user)" "$STACK/hand/config-$host.php"
    chmod 0640 "$STACK/hand/config-$host.php"
    # shellcheck disable=SC2016
    hand_php -d memory_limit=256M -d disable_functions=mail -r '
        $_SERVER["SERVER_NAME"] = $argv[2]; $_SERVER["HTTP_HOST"] = $argv[2]; $_SERVER["REQUEST_URI"] = "/";
        define("WP_INSTALLING", true); define("WP_HTTP_BLOCK_EXTERNAL", true);
        require $argv[1] . "/wp-load.php"; require ABSPATH . "wp-admin/includes/upgrade.php";
        wp_install("by hand", "admin", "admin@example.org", true, "", bin2hex(random_bytes(12)));
    ' "$(hand_code wordpress)" "$host"
}

hand_mediawiki() {
    local host="$1" site password
    site="$(hand_site "$host")" password="$(openssl rand -hex 16)"
    hand_make_database "$host" "$password"
    install -d -o "$(hand_php_user)" -g "$(hand_php_user)" "$site"
    # As nobody's example would: passwords on the command line, where all users see them.
    hand_php -d memory_limit=256M /usr/share/mediawiki/maintenance/install.php --confpath "$site" --dbtype mysql \
        --dbserver "localhost:$(MARIADB_SOCKET)" --dbname "$(hand_database "$host")" --dbuser "$(hand_database "$host")" \
        --dbpass "$password" --server "http://$host:$(port_for web2.nginx)" --scriptpath "" \
        --pass "$(openssl rand -hex 12)" "by hand" Admin
    # Debian's own folder is www-data's.
    install -d -o "$(hand_php_user)" -g "$(hand_php_user)" "$site/cache"
    # shellcheck disable=SC2016 # PHP's variable
    printf '$wgCacheDirectory = "%s";\n' "$site/cache" >>"$site/LocalSettings.php"
}

# What deploy/bench-sites calls: hand_<task> PROFILE HOST.

hand_install() {
    local site
    site="$(hand_site "$2")"
    case "$1" in
    static | php)
        install -d -m 0755 "$site/docroot"
        if [ "$1" = php ]; then echo '<?php echo "by hand";' >"$site/docroot/index.php"; else echo 'by hand' >"$site/docroot/index.html"; fi
        ;;
    *) "hand_$1" "$2" ;;
    esac
    hand_write_vhost "$1" "$2"
    hand_reload
    hand_check "$1" "$2"
}

hand_verify() {
    chmod -R u=rwX,go=rX "$(hand_site "$2")"
    hand_reload
    ! hand_has_database "$1" || mariadb_root <<<"SHOW TABLES FROM $(hand_database "$2")"
    hand_check "$1" "$2"
}

hand_disable() {
    mv "$(hand_vhost "$2")" "$(hand_vhost "$2").off"
    cat >"$(hand_vhost "$2")" <<CONF
server { listen 127.0.0.1:$(port_for web2.nginx); server_name $2; return 503; }
CONF
    hand_reload
    hand_answers "$2" 503
}

hand_enable() {
    mv "$(hand_vhost "$2").off" "$(hand_vhost "$2")"
    hand_reload
    hand_check "$1" "$2"
}

hand_restic() {
    RESTIC_REPOSITORY="$STACK/hand/restic" RESTIC_PASSWORD_FILE="$STACK/web2/backup-password" restic "$@"
}

# hand_dump HOST FILE
hand_dump() {
    (umask 077 && mariadb-dump --no-defaults --socket="$(MARIADB_SOCKET)" --user=root --single-transaction --quick \
        --routines --triggers "$(hand_database "$1")" >"$2")
}

hand_backup() {
    local dump="$STACK/hand/dump" paths
    paths=("$(hand_site "$2")")
    if hand_has_database "$1"; then
        hand_dump "$2" "$dump"
        paths+=("$dump")
    fi
    hand_restic backup --quiet --tag "$2" "${paths[@]}"
    hand_restic check --quiet
    rm -f "$dump"
}

# What the newest backup holds, in the place of what is there; meanwhile visitors are told.
hand_restore() {
    local into="$STACK/hand/restored" site database
    site="$(hand_site "$2")" database="$(hand_database "$2")"
    rm -rf "$into"
    hand_restic restore latest --quiet --tag "$2" --target "$into"
    hand_disable "$1" "$2"
    if hand_has_database "$1"; then
        mariadb_root <<<"DROP DATABASE $database; CREATE DATABASE $database;"
        { echo "USE $database;" && cat "$into$STACK/hand/dump"; } | mariadb_root
    fi
    mv "$site" "$site.former"
    mv "$into$site" "$site"
    hand_enable "$1" "$2"
    rm -rf "$into" "$site.former"
}

# Another name, which leads to the site.
hand_names() {
    cat >>"$(hand_vhost "$2")" <<CONF
server {
    listen 127.0.0.1:$(port_for web2.nginx);
    server_name old-$2;
    return 301 http://$2:$(port_for web2.nginx)\$request_uri;
}
CONF
    hand_reload
    hand_answers "old-$2" 301
    hand_check "$1" "$2"
}

# To the other code, with a dump to go back with, and the tables brought to what it wants.
hand_migrate() {
    local site code link
    site="$(hand_site "$2")" code="$(hand_code "$1-2")"
    hand_disable "$1" "$2"
    hand_dump "$2" "$STACK/hand/before-$2.sql"
    case "$1" in
    wordpress)
        for link in themes plugins; do ln -sfn "$code/wp-content/$link" "$site/content/$link"; done
        # shellcheck disable=SC2016 # PHP's variables
        hand_php -d memory_limit=256M -d disable_functions=mail -r '
            $_SERVER["SERVER_NAME"] = $argv[2]; $_SERVER["HTTP_HOST"] = $argv[2]; $_SERVER["REQUEST_URI"] = "/";
            define("WP_INSTALLING", true); define("WP_HTTP_BLOCK_EXTERNAL", true);
            require $argv[1] . "/wp-load.php"; require ABSPATH . "wp-admin/includes/upgrade.php"; wp_upgrade();
        ' "$code" "$2"
        ;;
    mediawiki)
        hand_as "$(hand_php_user)" env "MW_CONFIG_FILE=$site/LocalSettings.php" php -d memory_limit=256M "$code/maintenance/update.php" --quick
        ;;
    drupal)
        hand_migrate_drupal "$2"
        code+=/web
        ;;
    esac
    sed -E "s#^( *root ).*#\\1$code;#" "$(hand_vhost "$2").off" >"$(hand_vhost "$2")"
    rm -f "$(hand_vhost "$2").off"
    hand_reload
    hand_check "$1" "$2"
    rm -f "$STACK/hand/before-$2.sql"
}

hand_delete() {
    rm -f "$(hand_vhost "$2")"
    hand_reload
    hand_answers "$2" 404
    ! hand_has_database "$1" ||
        mariadb_root <<<"DROP DATABASE $(hand_database "$2"); DROP USER '$(hand_database "$2")'@'localhost';"
    case "$1" in
    wordpress) rm -f "$STACK/hand/config-$2.php" ;;
    drupal) hand_delete_drupal "$2" ;;
    esac
    rm -rf "$(hand_site "$2")"
}
