<?php
// Put here by Kolga. Which settings are this site's is told by the web server (fastcgi_param) or by the worker, never by
// the request: a client cannot set a name without HTTP_ before it.
if (empty($_SERVER['KOLGA_SETTINGS']) || !is_readable($_SERVER['KOLGA_SETTINGS'])) {
    http_response_code(503);
    exit("This site's settings cannot be read.\n");
}
require $_SERVER['KOLGA_SETTINGS'];
// Modules have no use for the path, and a page that prints its environment should not show it.
unset($_SERVER['KOLGA_SETTINGS']);
putenv('KOLGA_SETTINGS');
