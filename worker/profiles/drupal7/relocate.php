<?php
// Puts another address in place of the one that this Drupal had, wherever its texts hold it, and makes anew what holds it
// besides; its own stands in the settings. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_boot($kolga, 'its addresses were changed');

// What editors have written into fields, blocks and menus. Not where a longer name begins alike.
$kolga_place = function ($url) {
    return preg_replace('#^https?://#', '', $url);
};
$kolga_old = $kolga_place($kolga['from']['url']);
$kolga_find = '//' . preg_quote($kolga_old) . '(?![\w.:-]*[\w:-])';
$kolga_columns = db_query(
    "SELECT table_name AS t, column_name AS c FROM information_schema.columns
      WHERE table_schema = DATABASE() AND data_type IN ('varchar', 'text', 'mediumtext', 'longtext')
        AND (table_name LIKE 'field\\_data\\_%' OR table_name LIKE 'field\\_revision\\_%'
             OR table_name = 'block_custom' AND column_name = 'body'
             OR table_name = 'menu_links' AND column_name = 'link_path')"
)->fetchAll();
$kolga_changed = 0;
foreach ($kolga_columns as $kolga_column) {
    list($t, $c) = array($kolga_column->t, $kolga_column->c);
    foreach (array(
        "(?i)https?:$kolga_find" => $kolga['url'],
        "(?i)(?<!:)$kolga_find" => '//' . $kolga_place($kolga['url']),
    ) as $kolga_from => $kolga_to) {
        $kolga_changed += db_query(
            "UPDATE `$t` SET `$c` = REGEXP_REPLACE(`$c`, :from, :to) WHERE `$c` LIKE :like AND `$c` REGEXP :from",
            array(':from' => $kolga_from, ':to' => $kolga_to, ':like' => '%' . db_like($kolga_old) . '%'),
            array('return' => Database::RETURN_AFFECTED)
        );
    }
}
// Caches that nothing but time empties would go on with the former address.
foreach (array('cache', 'cache_page', 'cache_filter', 'cache_menu', 'cache_form') as $table) {
    cache_clear_all('*', $table, TRUE);
}
drupal_flush_all_caches();
echo "changed the address in $kolga_changed texts, and emptied all caches\n";
$GLOBALS['kolga_done'] = true;
