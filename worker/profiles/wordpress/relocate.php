<?php
// Puts another address in place of the one that this WordPress had, wherever its texts hold it. Run by the worker with
// the site's particulars as JSON on stdin, and with how the site was called before. What WordPress itself needs stands
// in the settings.
$input = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

define('WP_INSTALLING', true);
require $input['platform'] . '/kolga.php';
kolga_enter($input, 'its addresses were changed');
require $input['platform'] . '/wp-load.php';

$kolga_old = preg_replace('#^https?://#', '', $input['from']['url']);
$kolga_new = preg_replace('#^https?://#', '', $input['url']);
// Where the one was over HTTPS and the other is not, or the other way round, what stands before the slashes changes too.
$kolga_scheme = strstr($input['url'], ':', true);
$kolga_scheme = $kolga_scheme === strstr($input['from']['url'], ':', true) ? null : $kolga_scheme;
// Behind two slashes, as they are or as JSON writes them, and not where a longer name begins alike.
$kolga_find = '#(https?)?(:?(?://|\\\\/\\\\/))' . preg_quote($kolga_old, '#') . '(?![\w.:-]*[\w:-])#i';

function kolga_plain($text)
{
    return preg_replace_callback($GLOBALS['kolga_find'], function ($found) {
        $scheme = $found[1] === '' ? '' : $GLOBALS['kolga_scheme'] ?? $found[1];
        return $scheme . $found[2] . $GLOBALS['kolga_new'];
    }, $text);
}

// What PHP has serialized says how long each text in it is, in bytes. Null where it is nothing that is known here.
function kolga_serialized($text)
{
    $out = '';
    $at = 0;
    while ($at < strlen($text)) {
        if (preg_match('/\Gs:(\d+):"/', $text, $found, 0, $at)) {
            $begin = $at + strlen($found[0]);
            $length = (int) $found[1];
            if (substr($text, $begin + $length, 2) !== '";') {
                return null;
            }
            $inner = kolga_changed(substr($text, $begin, $length));
            $out .= 's:' . strlen($inner) . ':"' . $inner . '";';
            $at = $begin + $length + 2;
        } elseif (preg_match('/\G(?:[bidrR]:[^;"]*;|N;|\}|[aO]:\d+:(?:"[^"]*":\d+:)?\{)/', $text, $found, 0, $at)) {
            $out .= $found[0];
            $at += strlen($found[0]);
        } else {
            return null;
        }
    }
    return $out;
}

function kolga_changed($text)
{
    if (is_serialized($text, true)) {
        return kolga_serialized($text) ?? $text;
    }
    return kolga_plain($text) ?? $text;
}

global $wpdb;
$changed = 0;
foreach ($wpdb->get_col("SHOW TABLES LIKE '" . $wpdb->esc_like($wpdb->base_prefix) . "%'") as $table) {
    $keys = array();
    $texts = array();
    foreach ($wpdb->get_results("SHOW COLUMNS FROM `$table`") as $column) {
        if ($column->Key === 'PRI') {
            $keys[] = $column->Field;
        } elseif (preg_match('/char|text/', $column->Type) && $column->Field !== 'guid') {
            // A guid says which post it is, to readers of feeds: it stays what it was.
            $texts[] = $column->Field;
        }
    }
    if (!$keys || !$texts) {
        continue;
    }
    $like = '%' . $wpdb->esc_like($kolga_old) . '%';
    foreach ($texts as $text) {
        $names = '`' . implode('`, `', array_merge($keys, array($text))) . '`';
        $found = $wpdb->prepare("SELECT $names FROM `$table` WHERE `$text` LIKE %s", $like);
        foreach ($wpdb->get_results($found, ARRAY_A) as $row) {
            $new = kolga_changed($row[$text]);
            if ($new === $row[$text]) {
                continue;
            }
            $where = array_intersect_key($row, array_flip($keys));
            if ($wpdb->update($table, array($text => $new), $where) === false) {
                fwrite(STDERR, "the database did not take it: {$wpdb->last_error}\n");
                exit(1);
            }
            $changed++;
        }
    }
}
wp_cache_flush();
echo "changed the address in $changed texts\n";
$GLOBALS['kolga_done'] = true;
