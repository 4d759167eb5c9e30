<?php
// Empties what this Drupal keeps to be faster, as drush does it. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_drush($kolga, 'cache:rebuild');
