<?php
// Put here by Kolga, once for every profile whose sites can be logged in at by a link of `kolga site login`: the half of such a
// page that knows no application. The token stands behind the # of the link and comes by POST, not in an address, which logs
// would keep. What the site keeps of it is a hash, in a folder that nothing serves. Nothing but functions is in here, so that
// nothing happens if somebody asks for this file. Applications of PHP 7 load it too.
//
// kolga_login.php calls kolga_token_asked(), starts its application, and then asks kolga_token_user() who may come in.

// Ends the request of whoever is not let in, with the same words whatever is wrong.
function kolga_token_refuse()
{
    http_response_code(403);
    header('Content-Type: text/html; charset=utf-8');
    echo '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not logged in</title>'
        . '<p>This link is good for nothing: it was used already, is too old, or is not whole.';
    exit;
}

// The token that was posted, and what the site keeps of one of that name. It ends the request of a browser that has followed the
// link with a form that posts the token, and of one that posts none. To be called before the application: that one may
// change what was posted, and forget where the site's settings are.
function kolga_token_asked(): array
{
    $settings = $_SERVER['KOLGA_SETTINGS'] ?? '';
    $nonce = base64_encode(random_bytes(12));
    header('Cache-Control: no-store');
    header('Referrer-Policy: no-referrer');
    header('X-Robots-Tag: noindex');
    header("Content-Security-Policy: default-src 'none'; script-src 'nonce-$nonce'; form-action 'self'; frame-ancestors 'none'");
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        kolga_token_form($nonce);
    }
    $token = $_POST['token'] ?? '';
    if (!is_string($token) || !preg_match('/^([0-9a-f-]{36}\.\d{1,10})\.[0-9A-Za-z]{43}$/D', $token, $found)) {
        kolga_token_refuse();
    }
    $file = dirname($settings, 2) . '/login/' . $found[1];
    $kept = is_file($file) && !is_link($file) ? file_get_contents($file, false, null, 0, 4096) : '';
    $kept = json_decode($kept, true);
    if (!is_array($kept)) {
        kolga_token_refuse();
    }
    return ['token' => $token, 'file' => $file, 'kept' => $kept];
}

function kolga_token_form(string $nonce)
{
    header('Content-Type: text/html; charset=utf-8');
    ?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Log in</title>
<form id="kolga-login" method="post" action="kolga_login.php">
<input type="hidden" name="token">
<noscript>This page needs JavaScript to read the link.</noscript>
</form>
<script nonce="<?php echo $nonce; ?>">
var form = document.getElementById('kolga-login');
form.elements.token.value = location.hash.slice(1);
history.replaceState(null, '', location.pathname);
form.submit();
</script>
</html>
    <?php
    exit;
}

// The name of the account that the token is for, which is used up with that; it ends the request if the token is not good. The
// database is the one that the application works with: a site that was copied, restored or moved has another, and none of its links.
function kolga_token_user(array $asked, string $database): string
{
    $hash = hash('sha256', "kolga-login\n" . $database . "\n" . $asked['token']);
    if (!hash_equals((string) $asked['kept']['hash'], $hash) || time() > (int) $asked['kept']['until']) {
        kolga_token_refuse();
    }
    // Of two who come at once, one removes the file.
    if (!@unlink($asked['file'])) {
        kolga_token_refuse();
    }
    return (string) $asked['kept']['user'];
}
