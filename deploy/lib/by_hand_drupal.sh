# shellcheck shell=bash
# A Drupal done by hand, as its own documents have it: the code is shared by all sites, each of which has a folder in its
# web/sites (here a link to where by_hand.sh keeps sites), and drush does the rest. Sourced after lib/by_hand.sh, of which it is
# a part; the code is brought along, since no package has it.

# hand_drush CODE HOST ARGUMENT...
hand_drush() {
    hand_as "$(hand_php_user)" env HOME="$STACK/hand/home" "PATH=/usr/bin:/bin" php -d memory_limit=512M -d disable_functions=mail \
        "$1/vendor/drush/drush/drush.php" --root="$1/web" --uri="http://$2:$(port_for web2.nginx)" --yes --quiet "${@:3}"
}

# The code, and that to which sites move: hand_prepare_drupal FOLDER FOLDER
hand_prepare_drupal() {
    local code
    cp -r "$1" "$(hand_code drupal)"
    cp -r "$2" "$(hand_code drupal-2)"
    # Only with this file does Drupal look for another folder than sites/default.
    for code in "$(hand_code drupal)" "$(hand_code drupal-2)"; do cp "$code/web/sites/"{example.sites,sites}.php; done
    install -d -o "$(hand_php_user)" -g "$(hand_php_user)" "$STACK/hand/home"
}

hand_drupal() {
    local code site password
    code="$(hand_code drupal)" site="$(hand_site "$1")" password="$(openssl rand -hex 16)"
    hand_make_database "$1" "$password"
    install -d -m 0755 -o "$(hand_php_user)" -g "$(hand_php_user)" "$site" "$site/files"{,/sync}
    cp "$code/web/sites/default/default.settings.php" "$site/settings.php"
    cat >>"$site/settings.php" <<PHP
\$databases['default']['default'] = [
    'driver' => 'mysql', 'namespace' => 'Drupal\\\\mysql\\\\Driver\\\\Database\\\\mysql',
    'autoload' => 'core/modules/mysql/src/Driver/Database/mysql/', 'unix_socket' => '$(MARIADB_SOCKET)', 'host' => 'localhost', 'prefix' => '',
    'database' => '$(hand_database "$1")', 'username' => '$(hand_database "$1")', 'password' => '$password',
];
\$settings['hash_salt'] = '$(openssl rand -hex 32)';
\$settings['config_sync_directory'] = 'sites/$1/files/sync';
PHP
    chown "$(hand_php_user):" "$site/settings.php"
    chmod 0640 "$site/settings.php"
    ln -s "$site" "$code/web/sites/$1"
    hand_drush "$code" "$1" site:install standard --account-name=admin --site-name="by hand" \
        --account-pass="$(openssl rand -hex 12)" --sites-subdir="$1"
}

# The updates of the other code.
hand_migrate_drupal() {
    ln -s "$(hand_site "$1")" "$(hand_code drupal-2)/web/sites/$1"
    hand_drush "$(hand_code drupal-2)" "$1" updatedb
    hand_drush "$(hand_code drupal-2)" "$1" cache:rebuild
}

hand_delete_drupal() {
    rm -f "$(hand_code drupal)/web/sites/$1" "$(hand_code drupal-2)/web/sites/$1"
}
