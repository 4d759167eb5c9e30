<?php
// Makes a copy of a wiki one of its own: its administrator gets another password, and whatever else lets somebody in who
// was let into the one that it was made of goes: sessions, remembered logins, bot passwords, temporary passwords. Run by
// the worker with the copy's particulars as JSON on stdin.
$kolga = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
define('MW_INSTALL_PATH', $kolga['platform']);
$_SERVER['KOLGA_SETTINGS'] = $kolga['settings'];
$argv = ['clone.php'];
$_SERVER['argv'] = $argv;
$argc = $_SERVER['argc'] = count($argv);
require MW_INSTALL_PATH . '/maintenance/Maintenance.php';

class KolgaClone extends Maintenance
{
    public function execute()
    {
        global $kolga;
        $database = $this->getDB(DB_PRIMARY);
        // From a secret that nobody keeps, so that nobody can tell one account's token from another's.
        $secret = $database->addQuotes(bin2hex(random_bytes(32)));
        $token = $database->getType() === 'postgres'
            ? "LEFT(ENCODE(SHA256(CONVERT_TO($secret || user_id, 'UTF8')), 'hex'), 32)"
            : "LEFT(SHA2(CONCAT($secret, user_id), 256), 32)";
        $database->update('user', [
            "user_token = $token",
            'user_newpassword' => '',
            'user_newpass_time' => null,
            'user_email_token' => null,
            'user_email_token_expires' => null,
        ], '*', __METHOD__);
        foreach (['bot_passwords', 'objectcache'] as $table) {
            $database->delete($table, '*', __METHOD__);
        }

        $name = $kolga['options']['admin_user'];
        $factory = MediaWiki\MediaWikiServices::getInstance()->getUserFactory();
        $user = $factory->newFromName($name);
        if (!$user || !$user->isRegistered()) {
            $this->output("there is no account $name any more, so no password was changed; nobody is logged in\n");
            return;
        }
        $password = $kolga['secrets']['admin_password'];
        $status = $user->changeAuthenticationData([
            'username' => $user->getName(),
            'password' => $password,
            'retype' => $password,
        ]);
        if (!$status->isGood()) {
            $this->fatalError('the password was not taken: ' . $status->getMessage(false, false, 'en')->text());
        }
        $this->output("the account $name has a password of its own; nobody is logged in\n");
    }
}

$maintClass = KolgaClone::class;
require RUN_MAINTENANCE_IF_MAIN;
