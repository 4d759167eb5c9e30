<?php
// Made by Kolga, outside the docroot. Read it with: $settings = require $_SERVER['KOLGA_SETTINGS'];
return [
    'url' => {{ url|php }},
    'files' => {{ (site ~ "/files")|php }},
    'database' => [
        // mariadb or postgresql
        'type' => {{ database.type|php }},
{%- if database.socket %}
        'socket' => {{ database.socket|php }},
{%- else %}
        'host' => {{ database.host|php }},
        'port' => {{ database.port }},
{%- endif %}
        'name' => {{ database.name|php }},
        'user' => {{ database.user|php }},
        'password' => {{ database.password|php }},
{%- if database.ca_file %}
        // The server wants TLS, and has to come with a certificate of this authority's for its address.
        'ca_file' => {{ database.ca_file|php }},
{%- endif %}
    ],
];
