<?php
// Makes a copy of a Drupal one of its own: its administrator gets another password, and whatever else lets somebody in who
// was let into the one that it was made of goes: sessions, keys, links for a new password (with the salt of the settings).
// Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_boot($kolga, 'the copy had passwords of its own');

$database = Drupal::database();
// A lock that was held when the copy was made is nobody's.
foreach (['sessions', 'semaphore'] as $table) {
    if ($database->schema()->tableExists($table)) {
        $database->truncate($table)->execute();
    }
}
Drupal::state()->delete('system.private_key');
Drupal::state()->set('system.cron_key', Drupal\Component\Utility\Crypt::randomBytesBase64(55));
Drupal::state()->set('system.maintenance_mode', false);

$name = $kolga['options']['admin_user'];
$account = user_load_by_name($name);
if ($account) {
    $account->setPassword($kolga['secrets']['admin_password'])->save();
    echo "the account $name has a password of its own; nobody is logged in\n";
} else {
    echo "there is no account $name any more, so no password was changed; nobody is logged in\n";
}
drupal_flush_all_caches();
$GLOBALS['kolga_done'] = true;
