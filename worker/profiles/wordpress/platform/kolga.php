<?php
// Put here by Kolga: how a script of the profile comes into the WordPress of one site. It gets the site's particulars, which the
// worker has given the script on stdin, and then requires wp-load.php itself: WordPress wants that outside of any function.

// Makes this process a visitor's request to that site.
function kolga_request(array $kolga, string $uri): void
{
    $_SERVER['KOLGA_SETTINGS'] = $kolga['settings'];
    $_SERVER['HTTP_HOST'] = preg_replace('#^https?://#', '', $kolga['url']);
    $_SERVER['SERVER_NAME'] = $kolga['host'];
    $_SERVER['REQUEST_URI'] = $uri;
    $_SERVER['REQUEST_METHOD'] = 'GET';
    $_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
}

// The same for work that is done when the script sets $GLOBALS['kolga_done'], with nothing that a visitor's request does by the
// way. WordPress says what went wrong by showing a page, and then exits as if all were well.
function kolga_enter(array $kolga, string $unfinished): void
{
    register_shutdown_function(static function () use ($unfinished) {
        if (empty($GLOBALS['kolga_done'])) {
            fwrite(STDERR, "WordPress ended before $unfinished\n");
            exit(1);
        }
    });
    define('DISABLE_WP_CRON', true);
    define('WP_HTTP_BLOCK_EXTERNAL', true);
    kolga_request($kolga, '/');
}
