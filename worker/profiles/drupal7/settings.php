<?php
// Made by Kolga. Readable by the worker and the web server's user, and outside every docroot.
$databases = array('default' => array('default' => array(
    'driver' => 'mysql',
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
{%- if database.ca_file %}
    // The server wants TLS, and has to come with a certificate of this authority's for its address.
    'pdo' => array(PDO::MYSQL_ATTR_SSL_CA => {{ database.ca_file|php }}, PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => TRUE),
{%- endif %}
    'charset' => 'utf8mb4',
    'collation' => 'utf8mb4_general_ci',
)));
$drupal_hash_salt = {{ secrets.hash_salt|php }};
$base_url = {{ url|php }};
$update_free_access = FALSE;

ini_set('session.gc_probability', 1);
ini_set('session.gc_divisor', 100);
ini_set('session.gc_maxlifetime', 200000);
ini_set('session.cookie_lifetime', 2000000);

$conf['site_name'] = {{ options.title|php }};
$conf['file_public_path'] = 'sites/default/files';
$conf['file_private_path'] = {{ (site ~ "/private/files")|php }};
$conf['file_temporary_path'] = {{ (site ~ "/private/temporary")|php }};
// nginx passes every unknown address to index.php.
$conf['clean_url'] = 1;
// What is planned for a time is done by the worker, and not by visitors' requests.
$conf['cron_safe_threshold'] = 0;
// The code is the platform's and changes with it, never from within a site.
$conf['allow_authorize_operations'] = FALSE;
// What goes wrong stands in the log and not on the page.
$conf['error_level'] = 0;
$conf['404_fast_paths_exclude'] = '/\/(?:styles)\//';
$conf['404_fast_paths'] = '/\.(?:txt|png|gif|jpe?g|css|js|ico|swf|flv|cgi|bat|pl|dll|exe|asp)$/i';
$conf['404_fast_html'] = '<!DOCTYPE html><html lang="en"><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>';

// index.php and the folders of code are links to the platform's, and after a move they lead elsewhere. php-fpm's opcode
// cache would go on with the files that they led to, and each of its children with where they led for a while; so the one
// looks where they lead, and the others forget it while this file is that new.
ini_set('opcache.revalidate_path', '1');
if (time() - filemtime(__FILE__) <= (int) ini_get('realpath_cache_ttl')) {
    clearstatcache(true);
}

// What only this site has, by its operator. Kolga neither makes nor changes it.
if (is_file(__DIR__ . '/local.php')) {
    require __DIR__ . '/local.php';
}
