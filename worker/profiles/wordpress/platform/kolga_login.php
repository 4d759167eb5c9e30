<?php
// Put here by Kolga: one file for every site of the platform. Logs its reader in once, by a link that `kolga site login` has made;
// kolga_token.php says when such a link is good.
require __DIR__ . '/kolga_token.php';
$kolga_asked = kolga_token_asked();

require __DIR__ . '/wp-load.php';

$kolga_user = get_user_by('login', kolga_token_user($kolga_asked, DB_NAME));
if (!$kolga_user) {
    kolga_token_refuse();
}
wp_set_auth_cookie($kolga_user->ID, false);
do_action('wp_login', $kolga_user->user_login, $kolga_user);
wp_safe_redirect(admin_url());
exit;
