<?php
// Installs one Drupal 7, by its own installer. Run by the worker with the site's particulars as JSON on stdin; says what it
// did on stdout, what went wrong on stderr, and exits 1 then.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_enter($kolga, 'the installation was complete');
define('MAINTENANCE_MODE', 'install');

function kolga_fail($why)
{
    fwrite(STDERR, $why . "\n");
    exit(1);
}

require_once DRUPAL_ROOT . '/includes/install.core.inc';

$options = $kolga['options'];
if (!preg_match('/^[a-z][a-z0-9_]*$/D', $options['install_profile'])) {
    kolga_fail('install_profile is the name of a folder in profiles');
}
try {
    install_drupal(array(
        'parameters' => array('profile' => $options['install_profile'], 'locale' => 'en'),
        'forms' => array(
            'install_configure_form' => array(
                'site_name' => $options['title'],
                'site_mail' => $options['admin_email'],
                'account' => array(
                    'name' => $options['admin_user'],
                    'mail' => $options['admin_email'],
                    'pass' => array(
                        'pass1' => $kolga['secrets']['admin_password'],
                        'pass2' => $kolga['secrets']['admin_password'],
                    ),
                ),
                // Neither asks elsewhere for updates nor sends mail about them.
                'update_status_module' => array(1 => NULL, 2 => NULL),
                'clean_url' => TRUE,
            ),
        ),
    ));
} catch (Exception $error) {
    kolga_fail($error->getMessage());
}
$account = user_load(1);
if (variable_get('install_task') !== 'done' || !$account || $account->name !== $options['admin_user']) {
    kolga_fail('the installation is not complete: ' . strip_tags(implode('; ', (array) drupal_get_messages('error')['error'] ?? array())));
}
// Drupal has taken the right to write from the owner, too, who is the worker: rights are Kolga's to give.
chmod(DRUPAL_ROOT . '/sites/default', 0750);
chmod(DRUPAL_ROOT . '/sites/default/settings.php', 0640);
echo 'Drupal ' . VERSION . ' with the profile ' . $options['install_profile'] . "\n";
$GLOBALS['kolga_done'] = true;
