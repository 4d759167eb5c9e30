<?php
// Does the jobs that a wiki's requests have put off: links, caches, notices. Run by the worker now and then.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
define('MW_INSTALL_PATH', $kolga['platform']);
$_SERVER['KOLGA_SETTINGS'] = $kolga['settings'];
$argv = ['runJobs.php', '--maxtime=300', '--memory-limit=default'];
$_SERVER['argv'] = $argv;
$argc = $_SERVER['argc'] = count($argv);
require MW_INSTALL_PATH . '/maintenance/runJobs.php';
