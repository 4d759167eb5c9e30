<?php
// Made by Kolga. Readable by the worker and the web server's user, and outside every docroot.
{%- if database.type == "postgresql" %}
$wgDBtype = 'postgres';
$wgDBserver = {{ database.host|php }};
$wgDBport = {{ database.port }};
$wgDBmwschema = 'mediawiki';
$wgDBprefix = '';
{%- else %}
$wgDBtype = 'mysql';
$wgDBserver = {{ database.server|php }};
$wgDBprefix = {{ options.table_prefix|php }};
$wgDBTableOptions = 'ENGINE=InnoDB, DEFAULT CHARSET=binary';
{%- endif %}
$wgDBname = {{ database.name|php }};
$wgDBuser = {{ database.user|php }};
$wgDBpassword = {{ database.password|php }};
{%- if database.ca_file and database.type == "postgresql" %}
// The server wants TLS. MediaWiki itself can ask for that and not for the right certificate, so this is said to the library that
// connects.
putenv('PGSSLMODE=verify-full');
putenv('PGSSLROOTCERT=' . {{ database.ca_file|php }});
{%- elif database.ca_file %}
// The server wants TLS, with a certificate of this authority's. The flags are DBO_DEFAULT and, for older releases, DBO_SSL, which are not
// known yet when the installer reads this.
$wgDBservers = [[
    'type' => $wgDBtype,
    'host' => $wgDBserver,
    'dbname' => $wgDBname,
    'user' => $wgDBuser,
    'password' => $wgDBpassword,
    'load' => 1,
    'flags' => 16 | 256,
    'ssl' => true,
    'sslCAFile' => {{ database.ca_file|php }},
]];
{%- endif %}

$wgSecretKey = {{ secrets.secret_key|php }};
$wgUpgradeKey = {{ secrets.upgrade_key|php }};

$wgSitename = {{ options.title|php }};
$wgLanguageCode = {{ options.language|php }};
$wgServer = {{ url|php }};
$wgScriptPath = '';
$wgArticlePath = '/wiki/$1';

$wgUploadDirectory = {{ (site ~ "/images")|php }};
$wgUploadPath = '/images';
$wgEnableUploads = true;
$wgCacheDirectory = {{ (site ~ "/cache")|php }};

// Not by the name of the database, which is another after a restore or a move: who is logged in stays so.
$wgCookiePrefix = {{ host|php }};
$wgCachePrefix = {{ host|php }};

// Pages that were rendered with other settings, perhaps under another name, are rendered again.
$wgCacheEpoch = max($wgCacheEpoch, gmdate('YmdHis', filemtime(__FILE__)));

// What requests put off is done by the profile's regular work.
$wgJobRunRate = 0;
// No mail leaves until an operator says how.
$wgEnableEmail = false;

// What only this wiki has, by its operator: who may do what, extensions, namespaces. Kolga neither makes nor changes it.
if (is_file(__DIR__ . '/local.php')) {
    require __DIR__ . '/local.php';
}
