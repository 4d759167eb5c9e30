<?php
// Installs one Drupal, by its own installer. Run by the worker with the site's particulars as JSON on stdin; says what it did
// on stdout, what went wrong on stderr, and exits 1 then. `drush site:install` ends at the same function, but asks the
// database's client program first to drop all tables, for which it writes the account into a file.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_enter($kolga, 'the installation was complete');

function kolga_fail($why)
{
    $GLOBALS['kolga_done'] = true;
    fwrite(STDERR, $why . "\n");
    exit(1);
}

$options = $kolga['options'];
if (!preg_match('/^[a-z][a-z0-9_]*$/D', $options['install_profile'])) {
    kolga_fail('install_profile is the name of a folder in profiles');
}
define('MAINTENANCE_MODE', 'install');
$autoloader = require $kolga['platform'] . '/web/autoload.php';
require_once $kolga['platform'] . '/web/core/includes/install.core.inc';
try {
    install_drupal($autoloader, [
        'parameters' => ['profile' => $options['install_profile'], 'langcode' => 'en'],
        'forms' => [
            'install_configure_form' => [
                'site_name' => $options['title'],
                'site_mail' => $options['admin_email'],
                'account' => [
                    'name' => $options['admin_user'],
                    'mail' => $options['admin_email'],
                    'pass' => [
                        'pass1' => $kolga['secrets']['admin_password'],
                        'pass2' => $kolga['secrets']['admin_password'],
                    ],
                ],
                // Neither asks elsewhere for updates nor sends mail about them.
                'enable_update_status_module' => NULL,
                'enable_update_status_emails' => NULL,
            ],
        ],
    ]);
} catch (Throwable $error) {
    kolga_fail(get_class($error) . ': ' . strip_tags($error->getMessage()));
}
$account = Drupal\user\Entity\User::load(1);
if (Drupal::state()->get('install_task') !== 'done' || !$account || $account->getAccountName() !== $options['admin_user']) {
    $said = array_map('strval', Drupal::messenger()->messagesByType('error'));
    kolga_fail('the installation is not complete: ' . strip_tags(implode('; ', $said)));
}
echo 'Drupal ' . Drupal::VERSION . ' with the profile ' . $options['install_profile'] . "\n";
$GLOBALS['kolga_done'] = true;
