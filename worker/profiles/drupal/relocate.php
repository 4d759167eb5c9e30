<?php
// Puts another address in place of the one that this Drupal had, wherever its texts hold it, and makes anew what holds it
// besides; where it is itself it is told by each request. Run by the worker with the site's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
require $kolga['platform'] . '/kolga.php';
kolga_boot($kolga, 'its addresses were changed');

$database = Drupal::database();
$postgresql = $database->databaseType() === 'pgsql';
// What editors have written: the tables of fields, each with its older revisions, and those of entities' own fields. What is
// serialized lies in columns of other types.
$columns = $database->query(
    'SELECT table_name AS t, column_name AS c FROM information_schema.columns
      WHERE table_schema = ' . ($postgresql ? 'CURRENT_SCHEMA()' : 'DATABASE()') . "
        AND data_type IN ('varchar', 'character varying', 'text', 'mediumtext', 'longtext')
        AND (table_name LIKE '%\\_\\_%' OR table_name LIKE '%\\_field\\_data' OR table_name LIKE '%\\_field\\_revision')
      ORDER BY table_name, column_name"
)->fetchAll();
$place = static fn ($url) => preg_replace('#^https?://#', '', $url);
$old = $place($kolga['from']['url']);
// Not where a longer name begins alike.
$find = '//' . preg_quote($old) . '(?![\w.:-]*[\w:-])';
$changed = 0;
foreach ($columns as $column) {
    [$t, $c] = [$database->escapeTable($column->t), $database->escapeField($column->c)];
    foreach (["https?:$find" => $kolga['url'], "(?<!:)$find" => '//' . $place($kolga['url'])] as $from => $to) {
        [$new, $holds] = $postgresql
            ? ["REGEXP_REPLACE($c, :from, :to, 'gi')", "$c ~* :from"]
            : ["REGEXP_REPLACE($c, CONCAT('(?i)', :from), :to)", "$c REGEXP CONCAT('(?i)', :from)"];
        $statement = $database->prepareStatement("UPDATE {" . $t . "} SET $c = $new WHERE $holds", ['allow_square_brackets' => true], true);
        $statement->execute([':from' => $from, ':to' => $to], []);
        $changed += $statement->rowCount();
    }
}
drupal_flush_all_caches();
echo "changed the address in $changed texts, and emptied all caches\n";
$GLOBALS['kolga_done'] = true;
