<?php
// Empties what this WordPress keeps to be faster. Run by the worker with the site's particulars as JSON on stdin.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

require $input['platform'] . '/kolga.php';
kolga_enter($input, 'the caches were empty');
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
