<?php
// Brings this Drupal's tables to what its platform's code wants, as its own update.php does it. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_enter($kolga, 'the update was complete');

define('MAINTENANCE_MODE', 'update');
foreach (array('bootstrap', 'update', 'common', 'file', 'entity', 'unicode') as $part) {
    require_once DRUPAL_ROOT . "/includes/$part.inc";
}
update_prepare_d7_bootstrap();
drupal_bootstrap(DRUPAL_BOOTSTRAP_LANGUAGE);
update_fix_d7_requirements();
drupal_bootstrap(DRUPAL_BOOTSTRAP_FULL);
drupal_maintenance_theme();
require_once DRUPAL_ROOT . '/includes/install.inc';
drupal_load_updates();
update_fix_compatibility();

$start = array();
foreach (update_get_update_list() as $module => $list) {
    if (isset($list['start'])) {
        $start[$module] = $list['start'];
    } elseif (!empty($list['warning'])) {
        fwrite(STDERR, "$module: " . strip_tags($list['warning']) . "\n");
    }
}
$updates = update_resolve_dependencies($start);
$dependencies = array();
foreach ($updates as $function => $update) {
    $dependencies[$function] = !empty($update['reverse_paths']) ? array_keys($update['reverse_paths']) : array();
}
$done = 0;
foreach ($updates as $update) {
    if (!$update['allowed']) {
        fwrite(STDERR, "{$update['module']} {$update['number']} wants others that are missing: " . implode(', ', (array) $update['missing_dependencies']) . "\n");
        exit(1);
    }
    // Those of one module begin where its tables are.
    if (isset($start[$update['module']])) {
        drupal_set_installed_schema_version($update['module'], $update['number'] - 1);
        unset($start[$update['module']]);
    }
    $context = array('sandbox' => array(), 'results' => array(), 'finished' => 1, 'message' => '');
    do {
        $context['finished'] = 1;
        update_do_one($update['module'], $update['number'], $dependencies[$update['module'] . '_update_' . $update['number']], $context);
        if (!empty($context['results']['#abort'])) {
            $why = $context['results'][$update['module']][$update['number']]['#abort']['query'] ?? 'it says no more';
            fwrite(STDERR, "{$update['module']} {$update['number']} failed: " . trim(strip_tags($why)) . "\n");
            exit(1);
        }
    } while ($context['finished'] < 1);
    echo "{$update['module']} {$update['number']}\n";
    $done++;
}
drupal_flush_all_caches();
echo $done === 0 ? "the tables are what the code wants already\n" : "$done updates\n";
$GLOBALS['kolga_done'] = true;
