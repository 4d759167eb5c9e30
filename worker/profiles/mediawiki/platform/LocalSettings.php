<?php
// Put here by Kolga: one file for every site of the platform. Which site it is, is told by the web
// server (fastcgi_param) or by the installer, never by the request: a client cannot set a name
// without HTTP_ before it.
if (!defined('MEDIAWIKI')) {
    exit;
}
if (empty($_SERVER['KOLGA_SETTINGS']) || !is_readable($_SERVER['KOLGA_SETTINGS'])) {
    http_response_code(503);
    exit("This site's settings cannot be read.\n");
}
require $_SERVER['KOLGA_SETTINGS'];
// Extensions have no use for the path, and a page that prints its environment should not show it.
unset($_SERVER['KOLGA_SETTINGS']);
putenv('KOLGA_SETTINGS');

// MediaWiki's own pictures where it brings them. A wiki that is told of none says so on each page, and browsers ask for
// one that is not there.
if (is_file("$IP/resources/assets/mediawiki.png")) {
    $wgLogos = ['1x' => "$wgScriptPath/resources/assets/mediawiki.png"];
    $wgFavicon = "$wgScriptPath/resources/assets/mediawiki.png";
}

$wgDefaultSkin = 'vector';
foreach (['Vector', 'MonoBook', 'Timeless', 'MinervaNeue'] as $kolgaName) {
    if (is_file("$IP/skins/$kolgaName/skin.json")) {
        wfLoadSkin($kolgaName);
    }
}
// Those that need no tables of their own.
foreach (['Cite', 'ParserFunctions', 'WikiEditor'] as $kolgaName) {
    if (is_file("$IP/extensions/$kolgaName/extension.json")) {
        wfLoadExtension($kolgaName);
    }
}
unset($kolgaName);
