<?php
// Installs one wiki, by MediaWiki's own installer. Run by the worker with the site's particulars as JSON on
// stdin. The installer takes its options from $argv, which is filled here: no other process sees them.
namespace Wikimedia\Rdbms {
    // What MediaWiki's classes of databases call for a new connection. The installer has an option for TLS and none for an
    // authority: it would take any certificate.
    function mysqli_init()
    {
        $file = $GLOBALS['kolga']['db']['wgDBservers'][0]['sslCAFile'] ?? null;
        return $file === null ? \mysqli_init() : new \KolgaVerified($file);
    }
}

namespace {
class KolgaVerified extends mysqli
{
    public static bool $used = false;

    public function __construct(private string $file)
    {
        parent::__construct();
    }

    public function real_connect(
        ?string $hostname = null,
        ?string $username = null,
        ?string $password = null,
        ?string $database = null,
        ?int $port = null,
        ?string $socket = null,
        int $flags = 0
    ): bool {
        self::$used = true;
        $this->ssl_set(null, null, $this->file, null, null);
        return parent::real_connect($hostname, $username, $password, $database, $port, $socket, $flags | MYSQLI_CLIENT_SSL);
    }
}

$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
$kolga['db'] = (static function ($file) {
    require $file;
    return get_defined_vars();
})($kolga['settings']);

// It also writes a LocalSettings.php, which is not what sites here have.
$kolga['aside'] = $kolga['site'] . '/private/.installer';
mkdir($kolga['aside'], 0700);
register_shutdown_function(function () use ($kolga) {
    @unlink($kolga['aside'] . '/LocalSettings.php');
    @rmdir($kolga['aside']);
});

define('MW_INSTALL_PATH', $kolga['platform']);
// Not the platform's, which would say that there is a wiki already.
define('MW_CONFIG_FILE', $kolga['aside'] . '/none.php');

$postgres = $kolga['db']['wgDBtype'] === 'postgres';
$argv = [
    'install.php',
    '--dbtype=' . $kolga['db']['wgDBtype'],
    '--dbserver=' . $kolga['db']['wgDBserver'],
    ...($postgres ? ['--dbport=' . $kolga['db']['wgDBport'], '--dbschema=' . $kolga['db']['wgDBmwschema']] : []),
    '--dbname=' . $kolga['db']['wgDBname'],
    '--dbuser=' . $kolga['db']['wgDBuser'],
    '--dbpass=' . $kolga['db']['wgDBpassword'],
    '--dbprefix=' . $kolga['db']['wgDBprefix'],
    '--server=' . $kolga['url'],
    '--scriptpath=',
    '--lang=' . $kolga['db']['wgLanguageCode'],
    '--pass=' . $kolga['secrets']['admin_password'],
    '--confpath=' . $kolga['aside'],
    '--',
    $kolga['options']['title'],
    $kolga['options']['admin_user'],
];
$_SERVER['argv'] = $argv;
$argc = $_SERVER['argc'] = count($argv);
require MW_INSTALL_PATH . '/maintenance/install.php';
if (empty($success)) {
    fwrite(STDERR, "MediaWiki ended before the installation was complete\n");
    exit(1);
}
if (isset($kolga['db']['wgDBservers']) && !KolgaVerified::$used) {
    fwrite(STDERR, "this MediaWiki's installer has a way to the database of which Kolga does not know that it is over TLS\n");
    exit(1);
}
}
