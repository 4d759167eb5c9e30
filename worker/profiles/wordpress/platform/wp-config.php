<?php
// Put here by Kolga: one file for every site of the platform. Which site it is, is told by the web
// server (fastcgi_param) or by the installer, never by the request: a client cannot set a name
// without HTTP_ before it.
if (empty($_SERVER['KOLGA_SETTINGS']) || !is_readable($_SERVER['KOLGA_SETTINGS'])) {
    http_response_code(503);
    exit("This site's settings cannot be read.\n");
}
require $_SERVER['KOLGA_SETTINGS'];
// Plugins have no use for the path, and a page that prints its environment should not show it.
unset($_SERVER['KOLGA_SETTINGS']);
putenv('KOLGA_SETTINGS');

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
