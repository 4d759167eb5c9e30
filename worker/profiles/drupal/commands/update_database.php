<?php
// Brings this Drupal's tables to what its platform's code wants, as drush does it: every hook_update_N and post_update, and all
// caches anew. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_drush($kolga, 'updatedb');
