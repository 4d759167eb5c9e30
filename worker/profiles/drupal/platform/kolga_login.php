<?php
// Put here by Kolga: one file for every site of the platform. Logs its reader in once, by a link that `kolga site login` has made;
// kolga_token.php says when such a link is good.
require __DIR__ . '/kolga_token.php';
$kolga_asked = kolga_token_asked();

$kolga_autoloader = require __DIR__ . '/web/autoload.php';
$kolga_request = Symfony\Component\HttpFoundation\Request::createFromGlobals();
$kolga_kernel = Drupal\Core\DrupalKernel::createFromRequest($kolga_request, $kolga_autoloader, 'prod');
$kolga_kernel->boot();
$kolga_kernel->preHandle($kolga_request);

$kolga_name = Drupal\Core\Database\Database::getConnectionInfo()['default']['database'];
$kolga_user = user_load_by_name(kolga_token_user($kolga_asked, $kolga_name));
if (!$kolga_user || !$kolga_user->isActive()) {
    kolga_token_refuse();
}
// As Drupal does it itself when a password was right.
$kolga_session = Drupal::service('session');
$kolga_request->setSession($kolga_session);
$kolga_session->start();
user_login_finalize($kolga_user);
$kolga_session->save();
header('Location: ' . $GLOBALS['base_url'] . '/user/' . $kolga_user->id(), true, 302);
