<?php
// Installs one WordPress site. Run by the worker with the site's particulars as JSON on stdin; says
// what it did on stdout, what went wrong on stderr, and exits 1 then.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

function kolga_fail($why)
{
    fwrite(STDERR, $why . "\n");
    exit(1);
}

// No mail leaves while a site is made. WordPress takes its own definition only where there is none.
function wp_mail($to, $subject, $message, $headers = '', $attachments = array())
{
    return true;
}

define('WP_INSTALLING', true);
require $input['platform'] . '/kolga.php';
kolga_enter($input, 'the installation was complete');
require $input['platform'] . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

// The installer would try its pretty addresses against a site that is not served yet.
add_filter('pre_http_request', function () {
    return new WP_Error('kolga', 'no requests while installing');
});

if (is_blog_installed()) {
    kolga_fail('the database already holds a WordPress');
}
echo 'WordPress ' . $GLOBALS['wp_version'] . ' into database ' . DB_NAME . "\n";

$options = $input['options'];
if ($options['admin_user'] === '' || sanitize_user($options['admin_user'], true) !== $options['admin_user']) {
    kolga_fail('admin_user may hold letters, digits, spaces and _ . - @ only');
}
if (!is_email($options['admin_email'])) {
    kolga_fail('admin_email is not an address that WordPress takes');
}
$result = wp_install(
    $options['title'],
    $options['admin_user'],
    $options['admin_email'],
    true,
    '',
    $input['secrets']['admin_password']
);
if (is_wp_error($result)) {
    kolga_fail($result->get_error_message());
}
if (!is_array($result) || !get_userdata($result['user_id'])) {
    kolga_fail('the administrator could not be made');
}

// nginx passes every unknown address to index.php, so pretty ones work.
update_option('permalink_structure', '/%year%/%monthnum%/%day%/%postname%/');
delete_option('rewrite_rules');

if (!wp_get_theme()->exists()) {
    kolga_fail('the platform has no theme that WordPress could use: ' . get_option('template'));
}
echo 'theme ' . wp_get_theme()->get('Name') . "\n";
$GLOBALS['kolga_done'] = true;
