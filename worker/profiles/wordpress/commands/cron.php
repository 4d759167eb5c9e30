<?php
// Does what this WordPress has planned for now. Run by the worker at regular times, with the site's particulars as
// JSON on stdin.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

// wp-cron.php ends by itself, and WordPress says what went wrong by showing a page and exits as if all were well.
register_shutdown_function(function () {
    $last = error_get_last();
    $fatal = $last && ($last['type'] & (E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_RECOVERABLE_ERROR));
    if ($fatal || !function_exists('did_action') || !did_action('wp_loaded')) {
        fwrite(STDERR, "WordPress ended before its work was done\n");
        exit(1);
    }
});

require $input['platform'] . '/kolga.php';
kolga_request($input, '/wp-cron.php');
require $input['platform'] . '/wp-cron.php';
