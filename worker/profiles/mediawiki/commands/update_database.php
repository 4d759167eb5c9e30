<?php
// Brings a wiki's tables to what the platform's code wants, by MediaWiki's own updater.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
define('MW_INSTALL_PATH', $kolga['platform']);
$_SERVER['KOLGA_SETTINGS'] = $kolga['settings'];
$argv = ['update.php', '--quick', '--skip-external-dependencies'];
$_SERVER['argv'] = $argv;
$argc = $_SERVER['argc'] = count($argv);
require MW_INSTALL_PATH . '/maintenance/update.php';
