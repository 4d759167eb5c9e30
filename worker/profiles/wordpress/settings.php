<?php
// Made by Kolga. Readable by the worker and the web server's user, and outside every docroot.
define('DB_NAME', {{ database.name|php }});
define('DB_USER', {{ database.user|php }});
define('DB_PASSWORD', {{ database.password|php }});
define('DB_HOST', {{ database.server|php }});
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
{%- if database.ca_file %}
// The server wants TLS. WordPress has no setting for the authority that has signed its certificate, and PHP looks at none but this
// one, which nothing but php-fpm's own configuration can say.
if (ini_get('openssl.cafile') !== {{ database.ca_file|php }}) {
    error_log('php-fpm needs php_admin_value[openssl.cafile] = ' . {{ database.ca_file|php }});
    http_response_code(503);
    exit("The database is reached over TLS, and this PHP's openssl.cafile is not its authority's.\n");
}
// Without the second of these a connection is encrypted, to anybody who answers.
define('MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_VERIFY_SERVER_CERT);
{%- endif %}
$table_prefix = {{ options.table_prefix|php }};

define('AUTH_KEY', {{ secrets.auth_key|php }});
define('SECURE_AUTH_KEY', {{ secrets.secure_auth_key|php }});
define('LOGGED_IN_KEY', {{ secrets.logged_in_key|php }});
define('NONCE_KEY', {{ secrets.nonce_key|php }});
define('AUTH_SALT', {{ secrets.auth_salt|php }});
define('SECURE_AUTH_SALT', {{ secrets.secure_auth_salt|php }});
define('LOGGED_IN_SALT', {{ secrets.logged_in_salt|php }});
define('NONCE_SALT', {{ secrets.nonce_salt|php }});

define('WP_HOME', {{ url|php }});
define('WP_SITEURL', {{ url|php }});
define('WP_CONTENT_DIR', {{ (site ~ "/content")|php }});
define('WP_CONTENT_URL', {{ (url ~ "/wp-content")|php }});

// The code is the platform's and changes with it, never from within a site.
define('DISALLOW_FILE_EDIT', true);
define('DISALLOW_FILE_MODS', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_DEBUG', false);

// Themes and plugins are links to the platform's, and after a move they lead elsewhere. php-fpm's opcode cache would
// go on with the files that they led to for as long as those are there, and each of its children with where they
// led for a while; so the one looks where they lead, and the others forget it while this file is that new.
ini_set('opcache.revalidate_path', '1');
if (time() - filemtime(__FILE__) <= (int) ini_get('realpath_cache_ttl')) {
    clearstatcache(true);
}

// What is planned for a time is done by the worker, every quarter of an hour, and not by visitors' requests.
defined('DISABLE_WP_CRON') || define('DISABLE_WP_CRON', true);
