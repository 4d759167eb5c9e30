<?php
// Put here by Kolga: one file for every wiki of the platform. Logs its reader in once, with the token behind the # of a
// link that `kolga site login` has made. The token comes by POST and not in an address, which logs would keep. What the
// wiki keeps of it is a hash, in a folder that nothing serves.
$kolgaSettings = $_SERVER['KOLGA_SETTINGS'] ?? '';
$kolgaNonce = base64_encode(random_bytes(12));
header('Cache-Control: no-store');
header('Referrer-Policy: no-referrer');
header('X-Robots-Tag: noindex');
header("Content-Security-Policy: default-src 'none'; script-src 'nonce-$kolgaNonce'; form-action 'self'; frame-ancestors 'none'");

function kolgaRefuse()
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
<script nonce="<?php echo $kolgaNonce; ?>">
var form = document.getElementById('kolga-login');
form.elements.token.value = location.hash.slice(1);
history.replaceState(null, '', location.pathname);
form.submit();
</script>
</html>
    <?php
    exit;
}

$kolgaToken = $_POST['token'] ?? '';
if (!is_string($kolgaToken) || !preg_match('/^([0-9a-f-]{36}\.\d{1,10})\.[0-9A-Za-z]{43}$/D', $kolgaToken, $kolgaFound)) {
    kolgaRefuse();
}
$kolgaFile = dirname($kolgaSettings, 2) . '/login/' . $kolgaFound[1];
$kolgaKept = is_file($kolgaFile) && !is_link($kolgaFile) ? file_get_contents($kolgaFile, false, null, 0, 4096) : '';
$kolgaKept = json_decode($kolgaKept, true);
if (!is_array($kolgaKept)) {
    kolgaRefuse();
}

define('MW_ENTRY_POINT', 'index');
require __DIR__ . '/includes/WebStart.php';

// A wiki that was copied, restored or moved has another database, and none of its links.
$kolgaHash = hash('sha256', "kolga-login\n" . $wgDBname . "\n" . $kolgaToken);
if (!hash_equals((string) $kolgaKept['hash'], $kolgaHash) || time() > (int) $kolgaKept['until']) {
    kolgaRefuse();
}
// Of two who come at once, one removes the file.
if (!@unlink($kolgaFile)) {
    kolgaRefuse();
}
$kolgaServices = MediaWiki\MediaWikiServices::getInstance();
$kolgaUser = $kolgaServices->getUserFactory()->newFromName($kolgaKept['user']);
if (!$kolgaUser || !$kolgaUser->isRegistered()) {
    kolgaRefuse();
}
// As MediaWiki does it itself when a password was right.
$kolgaSession = RequestContext::getMain()->getRequest()->getSession();
$kolgaSession->resetId();
$kolgaSession->resetAllTokens();
$kolgaSession->setUser($kolgaUser);
$kolgaSession->setRememberUser(false);
$kolgaSession->persist();
$kolgaSession->save();
DeferredUpdates::doUpdates();
$kolgaServices->getDBLoadBalancerFactory()->commitPrimaryChanges('kolga_login');
header('Location: ' . Title::newMainPage()->getFullURL());
http_response_code(302);
