<?php
// Made by Kolga. Readable by the worker and PHP's user, and outside every docroot. Drupal reads it through the file that its
// platform has in web/sites/default, more than once in some processes.
$databases['default']['default'] = [
{%- if database.type == "postgresql" %}
    'driver' => 'pgsql',
    'namespace' => 'Drupal\\pgsql\\Driver\\Database\\pgsql',
    'autoload' => 'core/modules/pgsql/src/Driver/Database/pgsql/',
{%- else %}
    'driver' => 'mysql',
    'namespace' => 'Drupal\\mysql\\Driver\\Database\\mysql',
    'autoload' => 'core/modules/mysql/src/Driver/Database/mysql/',
    'collation' => 'utf8mb4_general_ci',
    'init_commands' => ['isolation_level' => 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED'],
{%- endif %}
    'database' => {{ database.name|php }},
    'username' => {{ database.user|php }},
    'password' => {{ database.password|php }},
{%- if database.socket %}
    'host' => 'localhost',
    'unix_socket' => {{ database.socket|php }},
{%- else %}
    'host' => {{ database.host|php }},
    'port' => {{ database.port }},
{%- endif %}
    'prefix' => '',
{%- if database.ca_file and database.type == "mariadb" %}
    // The server wants TLS, and has to come with a certificate of this authority's for its address.
    'pdo' => [PDO::MYSQL_ATTR_SSL_CA => {{ database.ca_file|php }}, PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => TRUE],
{%- endif %}
];
{%- if database.ca_file and database.type == "postgresql" %}
// The server wants TLS. Drupal has no setting for that, so it is said to the library that connects.
putenv('PGSSLMODE=verify-full');
putenv('PGSSLROOTCERT=' . {{ database.ca_file|php }});
{%- endif %}
$settings['hash_salt'] = {{ secrets.hash_salt|php }};
// What Drupal keeps of where its code lies and what it found there is no use to another platform's code, nor to a copy's.
$settings['deployment_identifier'] = substr(hash('sha256', {{ (platform ~ " " ~ database.name)|php }}), 0, 16);
$settings['file_public_path'] = 'sites/default/files';
$settings['file_private_path'] = {{ (site ~ "/private/files")|php }};
$settings['file_temp_path'] = {{ (site ~ "/private/temporary")|php }};
$settings['php_storage']['twig'] = ['directory' => {{ (site ~ "/private/php")|php }}, 'secret' => {{ secrets.hash_salt|php }}];
// The worker's user runs nothing that PHP's has written: where it comes by, templates are compiled and not kept.
if (PHP_SAPI === 'cli' && posix_geteuid() === fileowner(__FILE__)) {
    $settings['php_storage']['twig'] = ['class' => 'Drupal\\Component\\PhpStorage\\FileReadOnlyStorage', 'directory' => __DIR__ . '/none'];
}
$settings['config_sync_directory'] = {{ (site ~ "/private/config")|php }};
$settings['entity_update_batch_size'] = 50;
$settings['file_scan_ignore_directories'] = ['node_modules', 'bower_components'];
// The names that nginx has let through to this site; they may change without these settings.
$kolga_hosts = $_SERVER['KOLGA_HOSTS'] ?? {{ host|php }};
$settings['trusted_host_patterns'] = array_map(
    static fn ($name) => '^' . str_replace('\*', '.+', preg_quote(strtolower($name))) . '$',
    explode(' ', $kolga_hosts)
);
unset($kolga_hosts);
// The code is the platform's and changes with it, never from within a site; and rights are Kolga's to give.
$settings['allow_authorize_operations'] = FALSE;
$settings['skip_permissions_hardening'] = TRUE;
$settings['update_free_access'] = FALSE;
$settings['rebuild_access'] = FALSE;
// What is planned for a time is done by the worker, and not by visitors' requests.
$config['automated_cron.settings']['interval'] = 0;
// What goes wrong stands in the log and not on the page.
$config['system.logging']['error_level'] = 'hide';
// Drupal's installer runs cron, which asks drupal.org for advisories, and a site that is being made waits for no other server.
if (defined('MAINTENANCE_MODE') && MAINTENANCE_MODE === 'install') {
    $config['system.advisories']['enabled'] = FALSE;
}
// What the platform's makers want for all its sites.
foreach ([{{ (platform ~ "/web/sites/default/services.yml")|php }}, __DIR__ . '/services.yml'] as $kolga_services) {
    if (is_file($kolga_services)) {
        $settings['container_yamls'][] = $kolga_services;
    }
}
unset($kolga_services);

// sites/default/files is below the docroot of this site and not below the platform's code, in which Drupal believes itself to
// be; it finds the folder from where it works. It goes back to the code when it shuts down, and has to be told again then.
chdir({{ (site ~ "/docroot")|php }});
if (function_exists('drupal_register_shutdown_function')) {
    drupal_register_shutdown_function('chdir', {{ (site ~ "/docroot")|php }});
}

// The docroot's folders of code are links to the platform's, and after a move they lead elsewhere. Each of php-fpm's children
// would go on for a while with where they led, for styles and the like; so it forgets that while this file is that new.
if (time() - filemtime(__FILE__) <= (int) ini_get('realpath_cache_ttl')) {
    clearstatcache(true);
}

// What only this site has, by its operator. Kolga neither makes nor changes it.
if (is_file(__DIR__ . '/local.php')) {
    require __DIR__ . '/local.php';
}
