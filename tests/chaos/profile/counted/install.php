<?php
// Has an effect, and leaves a trace of having had it.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
$run = getenv('KOLGA_TASK');
$effects = $input['options']['effects'];

// One write to a file that is opened to append is one line, whoever else writes. The clock is the machine's
// own, which nobody can set.
function note($what)
{
    global $run, $effects, $input;
    $line = implode(' ', [hrtime(true), $what, $run, $input['host']]) . "\n";
    file_put_contents("$effects/effects.log", $line, FILE_APPEND);
}

// The kernel takes the lock back when this process dies, however it dies.
$lock = fopen("$effects/{$input['host']}.lock", 'c');
if (!flock($lock, LOCK_EX | LOCK_NB)) {
    note('overlap');
    exit(1);
}
note('begin');
$settings = require $input['settings'];
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$database = new mysqli(null, $settings['user'], $settings['password'], $settings['name'], 0, $settings['socket']);
$database->query('CREATE TABLE IF NOT EXISTS effect (run VARCHAR(80) NOT NULL)');
$database->query("INSERT INTO effect VALUES ('" . $database->real_escape_string($run) . "')");
for ($line = 1; $line <= 40; $line++) {
    echo "counted line $line of 40\n";
    usleep(25000);
}
note('end');
