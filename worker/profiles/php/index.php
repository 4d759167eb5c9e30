<?php
// The first page: proves that PHP runs, that the settings can be read and that the database answers.
$settings = require $_SERVER['KOLGA_SETTINGS'];
$database = $settings['database'];
if ($database['type'] === 'postgresql') {
    // Names and passwords are made by Kolga, of letters, digits and _.
    $place = "host={$database['host']} port={$database['port']} dbname={$database['name']}";
    if (isset($database['ca_file'])) {
        $place .= " sslmode=verify-full sslrootcert={$database['ca_file']}";
    }
    if (!pg_connect("$place user={$database['user']} password={$database['password']}")) {
        throw new RuntimeException('the database does not answer');
    }
} else {
    mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    $server = mysqli_init();
    if (isset($database['ca_file'])) {
        // With the authority's file, and not with MYSQLI_CLIENT_SSL alone, mysqli looks at the certificate.
        $server->ssl_set(null, null, $database['ca_file'], null, null);
    }
    $server->real_connect($database['host'] ?? null, $database['user'], $database['password'], $database['name'],
        $database['port'] ?? 0, $database['socket'] ?? null, isset($database['ca_file']) ? MYSQLI_CLIENT_SSL : 0);
    $server->close();
}
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{{ options.title|escape }}</title>
<h1>{{ options.title|escape }}</h1>
<p>This site was made by Kolga. Put your application in place of this file; what
<code>$_SERVER['KOLGA_SETTINGS']</code> names returns the account of its database.</p>
</html>
