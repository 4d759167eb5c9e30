<?php
// Shows the attempts whose effect is in the database: one, or something went wrong.
$settings = require $_SERVER['KOLGA_SETTINGS'];
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$database = new mysqli(null, $settings['user'], $settings['password'], $settings['name'], 0, $settings['socket']);
$runs = array_column($database->query('SELECT run FROM effect')->fetch_all(), 0);
echo 'counted by Kolga: ', implode(' ', $runs), "\n";
