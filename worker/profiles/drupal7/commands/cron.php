<?php
// Does what this Drupal has planned for now. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_boot($kolga, 'its work was done');

if (!drupal_cron_run()) {
    fwrite(STDERR, "another run of cron has not ended\n");
    exit(1);
}
$GLOBALS['kolga_done'] = true;
