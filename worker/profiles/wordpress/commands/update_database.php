<?php
// Brings this WordPress's tables to what its platform's code wants. Run by the worker with the site's particulars
// as JSON on stdin.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

define('WP_INSTALLING', true);
require $input['platform'] . '/kolga.php';
kolga_enter($input, 'the update was complete');
require $input['platform'] . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

if (!is_blog_installed()) {
    fwrite(STDERR, "the database holds no WordPress\n");
    exit(1);
}
$before = (int) get_option('db_version');
wp_upgrade();
$wanted = (int) $GLOBALS['wp_db_version'];
$after = (int) get_option('db_version');
if ($after !== $wanted) {
    fwrite(STDERR, "the tables are of version $after, and not $wanted\n");
    exit(1);
}
echo $before === $after ? "the tables are of version $after already\n" : "from version $before to $after\n";
$GLOBALS['kolga_done'] = true;
