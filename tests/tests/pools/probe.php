<?php
// What a tenant's PHP may try; what came of it as JSON.
error_reporting(0);
$at = $_GET['at'] ?? '';
// The database AT as the user AS (its own, if none is said), with the password that it knows.
function rows(string $at, string $as): string
{
    $own = (require $_SERVER['KOLGA_SETTINGS'])['database'];
    try {
        $server = new mysqli(null, $as ?: $own['user'], $own['password'], $at ?: $own['name'], 0, $own['socket']);
        return 'let in: ' . $server->query('SELECT 6 * 7')->fetch_row()[0];
    } catch (mysqli_sql_exception $error) {
        return 'refused';
    }
}
$done = match ($_GET['what'] ?? '') {
    'who' => posix_geteuid(),
    'read' => file_get_contents($at),
    'list' => scandir($at),
    'include' => (include $at) !== false,
    'write' => file_put_contents($at, 'theirs', FILE_APPEND),
    'folder' => mkdir($at, 0755),
    'connect' => stream_socket_client("unix://$at") !== false,
    'signal' => posix_kill((int) $at, 15),
    'wait' => sleep((int) $at),
    'run' => shell_exec($at),
    'temporary' => sys_get_temp_dir(),
    'session' => session_start() && ($_SESSION['x'] = 1),
    'rows' => rows($at, $_GET['as'] ?? ''),
};
echo json_encode($done, JSON_INVALID_UTF8_SUBSTITUTE);
