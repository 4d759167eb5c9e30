<?php
// Put here by Kolga: one file for every site of the platform. Logs its reader in once, with the token behind the # of a
// link that `kolga site login` has made. The token comes by POST and not in an address, which logs would keep. What the
// site keeps of it is a hash, in a folder that nothing serves.
$kolga_settings = $_SERVER['KOLGA_SETTINGS'] ?? '';
$kolga_nonce = base64_encode(random_bytes(12));
header('Cache-Control: no-store');
header('Referrer-Policy: no-referrer');
header('X-Robots-Tag: noindex');
header("Content-Security-Policy: default-src 'none'; script-src 'nonce-$kolga_nonce'; form-action 'self'; frame-ancestors 'none'");

function kolga_refuse()
{
    http_response_code(403);
    header('Content-Type: text/html; charset=utf-8');
    echo '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not logged in</title>'
        . '<p>This link is good for nothing: it was used already, is too old, or is not whole.';
    exit;
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
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
<script nonce="<?php echo $kolga_nonce; ?>">
var form = document.getElementById('kolga-login');
form.elements.token.value = location.hash.slice(1);
history.replaceState(null, '', location.pathname);
form.submit();
</script>
</html>
    <?php
    exit;
}

$kolga_token = $_POST['token'] ?? '';
if (!is_string($kolga_token) || !preg_match('/^([0-9a-f-]{36}\.\d{1,10})\.[0-9A-Za-z]{43}$/D', $kolga_token, $kolga_found)) {
    kolga_refuse();
}
$kolga_file = dirname($kolga_settings, 2) . '/login/' . $kolga_found[1];
$kolga_kept = is_file($kolga_file) && !is_link($kolga_file) ? file_get_contents($kolga_file, false, null, 0, 4096) : '';
$kolga_kept = json_decode($kolga_kept, true);
if (!is_array($kolga_kept)) {
    kolga_refuse();
}

$kolga_autoloader = require __DIR__ . '/web/autoload.php';
$kolga_request = Symfony\Component\HttpFoundation\Request::createFromGlobals();
$kolga_kernel = Drupal\Core\DrupalKernel::createFromRequest($kolga_request, $kolga_autoloader, 'prod');
$kolga_kernel->boot();
$kolga_kernel->preHandle($kolga_request);

// A site that was copied, restored or moved has another database, and none of its links.
$kolga_name = Drupal\Core\Database\Database::getConnectionInfo()['default']['database'];
$kolga_hash = hash('sha256', "kolga-login\n" . $kolga_name . "\n" . $kolga_token);
if (!hash_equals((string) $kolga_kept['hash'], $kolga_hash) || time() > (int) $kolga_kept['until']) {
    kolga_refuse();
}
// Of two who come at once, one removes the file.
if (!@unlink($kolga_file)) {
    kolga_refuse();
}
$kolga_user = user_load_by_name($kolga_kept['user']);
if (!$kolga_user || !$kolga_user->isActive()) {
    kolga_refuse();
}
// As Drupal does it itself when a password was right.
$kolga_session = Drupal::service('session');
$kolga_request->setSession($kolga_session);
$kolga_session->start();
user_login_finalize($kolga_user);
$kolga_session->save();
header('Location: ' . $GLOBALS['base_url'] . '/user/' . $kolga_user->id(), true, 302);
