<?php
// Empties what this Drupal keeps to be faster. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

// Drupal says what went wrong by showing a page, and then exits as if all were well.
register_shutdown_function(function () {
    if (empty($GLOBALS['kolga_done'])) {
        fwrite(STDERR, "Drupal ended before the caches were empty\n");
        exit(1);
    }
});

chdir($kolga['site'] . '/docroot');
define('DRUPAL_ROOT', getcwd());
$_SERVER['KOLGA_SETTINGS'] = $kolga['settings'];
$_SERVER['HTTP_HOST'] = preg_replace('#^https?://#', '', $kolga['url']);
$_SERVER['SCRIPT_NAME'] = '/index.php';
$_SERVER['REQUEST_URI'] = '/';
$_SERVER['REQUEST_METHOD'] = 'GET';
$_SERVER['REMOTE_ADDR'] = '127.0.0.1';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
$_SERVER['SERVER_SOFTWARE'] = NULL;

require_once DRUPAL_ROOT . '/includes/bootstrap.inc';
drupal_bootstrap(DRUPAL_BOOTSTRAP_FULL);

drupal_flush_all_caches();
echo "emptied all caches\n";
$GLOBALS['kolga_done'] = true;
