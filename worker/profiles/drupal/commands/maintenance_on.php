<?php
// Has this Drupal show its own page for maintenance. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_boot($kolga, 'that was noted');

Drupal::state()->set('system.maintenance_mode', true);
// Pages that are kept would go on being shown.
Drupal\Core\Cache\Cache::invalidateTags(['rendered']);
echo "it shows its page for maintenance\n";
$GLOBALS['kolga_done'] = true;
