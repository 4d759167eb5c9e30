<?php
// Brings this WordPress's tables to what its platform's code wants. Run by the worker with the site's particulars
// as JSON on stdin.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

// WordPress says what went wrong by showing a page, and then exits as if all were well.
register_shutdown_function(function () {
    if (empty($GLOBALS['kolga_done'])) {
        fwrite(STDERR, "WordPress ended before the update was complete\n");
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
