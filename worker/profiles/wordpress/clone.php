<?php
// Makes a copy of a WordPress one of its own: its administrator gets another password, and whatever else lets somebody
// in who was let into the one that it was made of goes: sessions, application passwords, keys for a new password. Run by
// the worker with the copy's particulars as JSON on stdin.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

define('WP_INSTALLING', true);
require $input['platform'] . '/kolga.php';
kolga_enter($input, 'the copy had passwords of its own');
require $input['platform'] . '/wp-load.php';

global $wpdb;
foreach (array(
    "DELETE FROM {$wpdb->usermeta} WHERE meta_key IN ('session_tokens', '_application_passwords')",
    "UPDATE {$wpdb->users} SET user_activation_key = ''",
) as $statement) {
    if ($wpdb->query($statement) === false) {
        fwrite(STDERR, "the database did not take it: {$wpdb->last_error}\n");
        exit(1);
    }
}
wp_cache_flush();

$name = $input['options']['admin_user'];
$user = get_user_by('login', $name);
if ($user) {
    wp_set_password($input['secrets']['admin_password'], $user->ID);
    echo "the account $name has a password of its own; nobody is logged in\n";
} else {
    echo "there is no account $name any more, so no password was changed; nobody is logged in\n";
}
$GLOBALS['kolga_done'] = true;
