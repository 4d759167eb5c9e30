<?php
// Made by Kolga, outside the docroot. Read it with: $settings = require $_SERVER['KOLGA_SETTINGS'];
return [
    'url' => {{ url|php }},
    'files' => {{ (site ~ "/files")|php }},
    'database' => [
        'socket' => {{ database.socket|php }},
        'name' => {{ database.name|php }},
        'user' => {{ database.user|php }},
        'password' => {{ database.password|php }},
    ],
];
