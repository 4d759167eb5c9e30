<?php
// Makes a copy of a WordPress one of its own: its administrator gets another password, and whatever else lets somebody
// in who was let into the one that it was made of goes: sessions, application passwords, keys for a new password. Run by
// the worker with the copy's particulars as JSON on stdin.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

// WordPress says what went wrong by showing a page, and then exits as if all were well.
register_shutdown_function(function () {
    if (empty($GLOBALS['kolga_done'])) {
        fwrite(STDERR, "WordPress ended before the copy had passwords of its own\n");
        exit(1);
    }
});

define('WP_INSTALLING', true);
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
$_SERVER['KOLGA_SETTINGS'] = $input['settings'];
$_SERVER['HTTP_HOST'] = preg_replace('#^https?://#', '', $input['url']);
$_SERVER['SERVER_NAME'] = $input['host'];
$_SERVER['REQUEST_URI'] = '/';
$_SERVER['REQUEST_METHOD'] = 'GET';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';

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
