<?php
return [
    'socket' => {{ database.socket|php }},
    'name' => {{ database.name|php }},
    'user' => {{ database.user|php }},
    'password' => {{ database.password|php }},
];
