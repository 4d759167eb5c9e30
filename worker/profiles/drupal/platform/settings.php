<?php
// Put here by Kolga: one file for every site of the platform, and no more than the way to a site's own. Which site's is told
// by the web server (fastcgi_param) or by the worker, never by the request: a client cannot set a name without HTTP_ before it.
$kolga_settings = $_SERVER['KOLGA_SETTINGS'] ?? getenv('KOLGA_SETTINGS');
if (!is_string($kolga_settings) || !is_readable($kolga_settings)) {
    if (PHP_SAPI === 'cli') {
        fwrite(STDERR, "KOLGA_SETTINGS must say where the settings of a site are, and this user must be able to read them\n");
        exit(1);
    }
    http_response_code(503);
    exit("This site's settings cannot be read.\n");
}
require $kolga_settings;
unset($kolga_settings);
