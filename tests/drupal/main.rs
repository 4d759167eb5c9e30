//! The tasks of Drupal's sites, broken in every way that there is, as `crash` does with those whose code a package has.
//!
//! Not its commands: what one has done stays, and each of Drupal's changes what a page says.
//!
//! `deploy/drupal` brings up services and runs this, with the code that it was given; it is no part of `deploy/test`.

use kolga_protocol::task::Kind;
use kolga_tests::breaker::Breaker;
use kolga_tests::scenario::{Scenario, brought};

async fn break_everything(kind: Kind) {
    let profile = Some(brought::profile());
    Breaker::new(Scenario { kind, profile })
        .await
        .break_everything()
        .await;
}

macro_rules! tests {
    ($($name:ident = $kind:ident;)*) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            #[ignore = "needs Drupal's code: run deploy/drupal"]
            async fn broken_anywhere_it_leaves_nothing_or_is_whole_and_harms_nobody() {
                super::break_everything(Kind::$kind).await;
            }
        })*
    };
}

tests! {
    site_install = SiteInstall;
    site_verify = SiteVerify;
    site_enable = SiteEnable;
    site_disable = SiteDisable;
    site_names = SiteNames;
    site_login = SiteLogin;
    site_backup = SiteBackup;
    site_restore = SiteRestore;
    site_clone = SiteClone;
    site_migrate = SiteMigrate;
    site_delete = SiteDelete;
}
