<?php
// Put here by Kolga: how a script of the profile comes into the Drupal of one site. It gets the site's particulars, which the
// worker has given the script on stdin.

// Makes this process that site's, from which its code is included. Drupal says what went wrong by showing a page, and then exits
// as if all were well.
function kolga_enter($kolga, $unfinished)
{
    register_shutdown_function(function () use ($unfinished) {
        if (empty($GLOBALS['kolga_done'])) {
            fwrite(STDERR, "Drupal ended before $unfinished\n");
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
    // Where nobody can lay something down for PHP to find who may write to less than this process.
    putenv('TMPDIR=' . (is_writable($kolga['site'] . '/private') ? $kolga['site'] . '/private' : $kolga['site'] . '/private/temporary'));
}

// Its whole Drupal, as for a visitor's request.
function kolga_boot($kolga, $unfinished)
{
    kolga_enter($kolga, $unfinished);
    require_once DRUPAL_ROOT . '/includes/bootstrap.inc';
    drupal_bootstrap(DRUPAL_BOOTSTRAP_FULL);
}
