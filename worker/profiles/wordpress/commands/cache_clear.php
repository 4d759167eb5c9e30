<?php
// Empties what this WordPress keeps to be faster. Run by the worker with the site's particulars as JSON on stdin.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

// WordPress says what went wrong by showing a page, and then exits as if all were well.
register_shutdown_function(function () {
    if (empty($GLOBALS['kolga_done'])) {
        fwrite(STDERR, "WordPress ended before the caches were empty\n");
        exit(1);
    }
});

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
$gone = $wpdb->query(
    "DELETE FROM {$wpdb->options}
      WHERE option_name LIKE '\\_transient\\_%' OR option_name LIKE '\\_site\\_transient\\_%'"
);
if ($gone === false) {
    fwrite(STDERR, "the database did not take it: {$wpdb->last_error}\n");
    exit(1);
}
wp_cache_flush();
delete_option('rewrite_rules');
do_action('kolga_cache_clear');
echo "removed $gone temporary values\n";
$GLOBALS['kolga_done'] = true;
