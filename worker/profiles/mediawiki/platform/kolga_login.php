<?php
// Put here by Kolga: one file for every wiki of the platform. Logs its reader in once, by a link that `kolga site login` has made;
// kolga_token.php says when such a link is good.
require __DIR__ . '/kolga_token.php';
$kolgaAsked = kolga_token_asked();

define('MW_ENTRY_POINT', 'index');
require __DIR__ . '/includes/WebStart.php';

$kolgaServices = MediaWiki\MediaWikiServices::getInstance();
$kolgaUser = $kolgaServices->getUserFactory()->newFromName(kolga_token_user($kolgaAsked, $wgDBname));
if (!$kolgaUser || !$kolgaUser->isRegistered()) {
    kolga_token_refuse();
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
