<?php
// Put here by Kolga: one file for every site of the platform. Logs its reader in once, by a link that `kolga site login` has made;
// kolga_token.php says when such a link is good.
require __DIR__ . '/kolga_token.php';
$kolga_asked = kolga_token_asked();

// Where this page is called, and not where it lies.
define('DRUPAL_ROOT', getcwd());
require_once DRUPAL_ROOT . '/includes/bootstrap.inc';
drupal_bootstrap(DRUPAL_BOOTSTRAP_FULL);

$kolga_name = $GLOBALS['databases']['default']['default']['database'];
$kolga_user = user_load_by_name(kolga_token_user($kolga_asked, $kolga_name));
if (!$kolga_user || !$kolga_user->status) {
    kolga_token_refuse();
}
// As Drupal does it itself when a password was right.
$GLOBALS['user'] = $kolga_user;
$kolga_form = array();
user_login_finalize($kolga_form);
drupal_goto('user/' . $kolga_user->uid);
