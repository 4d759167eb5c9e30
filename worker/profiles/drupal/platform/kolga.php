<?php
// Put here by Kolga: how a script of the profile comes into the Drupal of one site. It gets the site's particulars, which the
// worker has given the script on stdin.

// Makes this process, and those that it starts, that site's. A Drupal that gives up half-way exits as if all were well.
function kolga_enter(array $kolga, string $unfinished): void
{
    register_shutdown_function(static function () use ($unfinished) {
        if (empty($GLOBALS['kolga_done'])) {
            fwrite(STDERR, "Drupal ended before $unfinished\n");
            exit(1);
        }
    });
    chdir($kolga['site'] . '/docroot');
    $url = parse_url($kolga['url']);
    $_SERVER = [
        'KOLGA_SETTINGS' => $kolga['settings'],
        'HTTP_HOST' => $url['host'] . (isset($url['port']) ? ':' . $url['port'] : ''),
        'SERVER_PORT' => $url['port'] ?? ($url['scheme'] === 'https' ? 443 : 80),
        'SERVER_PROTOCOL' => 'HTTP/1.1',
        'SERVER_SOFTWARE' => null,
        'REMOTE_ADDR' => '127.0.0.1',
        'REQUEST_METHOD' => 'GET',
        'REQUEST_URI' => '/',
        'SCRIPT_NAME' => '/index.php',
        'SCRIPT_FILENAME' => $kolga['platform'] . '/web/index.php',
        'PHP_SELF' => '/index.php',
    ] + ($url['scheme'] === 'https' ? ['HTTPS' => 'on'] : []) + $_SERVER;
    putenv('KOLGA_SETTINGS=' . $kolga['settings']);
    // Where nobody can lay something down for drush or PHP to find who may write to less than this process.
    $own = is_writable($kolga['site'] . '/private') ? $kolga['site'] . '/private' : $kolga['site'] . '/private/temporary';
    foreach (['HOME', 'TMP', 'TEMP', 'TMPDIR'] as $name) {
        putenv("$name=$own");
    }
}

// Its whole Drupal, as for a visitor's request.
function kolga_boot(array $kolga, string $unfinished): void
{
    kolga_enter($kolga, $unfinished);
    $autoloader = require $kolga['platform'] . '/web/autoload.php';
    $request = Symfony\Component\HttpFoundation\Request::createFromGlobals();
    $kernel = Drupal\Core\DrupalKernel::createFromRequest($request, $autoloader, 'prod');
    $kernel->boot();
    $kernel->preHandle($request);
}

// What drush does at that site; this process ends with it. Its arguments are in no process's argv but those of the processes that
// it starts itself, so they hold no secret.
function kolga_drush(array $kolga, string ...$arguments): never
{
    kolga_enter($kolga, 'drush had begun');
    $argv = ['drush', '--uri=' . $kolga['url'], '--yes', '--no-ansi', ...$arguments];
    $GLOBALS['argv'] = $_SERVER['argv'] = $argv;
    $GLOBALS['argc'] = $_SERVER['argc'] = count($argv);
    // It has its own way of noticing that it did not come to its end.
    $GLOBALS['kolga_done'] = true;
    require $kolga['platform'] . '/vendor/drush/drush/drush.php';
    exit(1);
}
