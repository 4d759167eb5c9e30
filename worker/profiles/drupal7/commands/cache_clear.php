<?php
// Empties what this Drupal keeps to be faster. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_boot($kolga, 'the caches were empty');

drupal_flush_all_caches();
echo "emptied all caches\n";
$GLOBALS['kolga_done'] = true;
