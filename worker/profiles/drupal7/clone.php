<?php
// Makes a copy of a Drupal one of its own: its administrator gets another password, and whatever else lets somebody in
// who was let into the one that it was made of goes: sessions, keys, links for a new password (with the salt of the
// settings). Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_boot($kolga, 'the copy had passwords of its own');

require_once DRUPAL_ROOT . '/includes/password.inc';

db_truncate('sessions')->execute();
variable_del('drupal_private_key');
variable_set('cron_key', drupal_random_key());
variable_set('maintenance_mode', 0);
drupal_flush_all_caches();

$name = $kolga['options']['admin_user'];
$account = user_load_by_name($name);
if ($account) {
    $hash = user_hash_password($kolga['secrets']['admin_password']);
    if (!$hash) {
        fwrite(STDERR, "the password was not taken\n");
        exit(1);
    }
    db_update('users')->fields(array('pass' => $hash))->condition('uid', $account->uid)->execute();
    echo "the account $name has a password of its own; nobody is logged in\n";
} else {
    echo "there is no account $name any more, so no password was changed; nobody is logged in\n";
}
$GLOBALS['kolga_done'] = true;
