<?php
// The first page: proves that PHP runs, that the settings can be read and that the database answers.
$settings = require $_SERVER['KOLGA_SETTINGS'];
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$database = $settings['database'];
(new mysqli($database['host'] ?? null, $database['user'], $database['password'], $database['name'],
    $database['port'] ?? 0, $database['socket'] ?? null))->close();
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{{ options.title|escape }}</title>
<h1>{{ options.title|escape }}</h1>
<p>This site was made by Kolga. Put your application in place of this file; what
<code>$_SERVER['KOLGA_SETTINGS']</code> names returns the account of its database.</p>
</html>
