<?php
// Has this Drupal show itself to everybody again. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_boot($kolga, 'that was noted');

Drupal::state()->set('system.maintenance_mode', false);
Drupal\Core\Cache\Cache::invalidateTags(['rendered']);
echo "it shows itself to everybody\n";
$GLOBALS['kolga_done'] = true;
