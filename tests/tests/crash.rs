//! Every task, broken in every way that there is: killed at every point, and again while it recovers; failing
//! at every step, with every undo run twice; with undos that fail; with the hub killed at every point of its;
//! with strangers in the way. What is left is the world before or the world after, and the hub knows which.
//!
//! Which points an ordinary run leaves out is a matter of its seed; `KOLGA_PAIRS=all` leaves out none. See
//! docs/RELIABILITY.md.

use kolga_protocol::task::Kind;
use kolga_tests::breaker::Breaker;
use kolga_tests::scenario::Scenario;

/// A test for each scenario, named by it; the list is checked against the code's own below. Tests begin in the order
/// of their names, so those on a platform, whose sites take long to install, come in modules that are behind the
/// other's: by then most of what they pass has been tried. Of those the ones with most steps begin first, so that at
/// the end none of the lanes waits long for another.
macro_rules! scenarios {
    (@sort [$($plain:tt)*] [$($long:tt)*] [$($slow:tt)*] $name:ident = SiteRestore "wordpress"; $($rest:tt)*) => {
        scenarios! { @sort [$($plain)*] [$($long)* $name = SiteRestore "wordpress";] [$($slow)*] $($rest)* }
    };
    (@sort [$($plain:tt)*] [$($long:tt)*] [$($slow:tt)*] $name:ident = SiteMigrate "wordpress"; $($rest:tt)*) => {
        scenarios! { @sort [$($plain)*] [$($long)* $name = SiteMigrate "wordpress";] [$($slow)*] $($rest)* }
    };
    (@sort [$($plain:tt)*] [$($long:tt)*] [$($slow:tt)*] $name:ident = $kind:ident "wordpress"; $($rest:tt)*) => {
        scenarios! { @sort [$($plain)*] [$($long)*] [$($slow)* $name = $kind "wordpress";] $($rest)* }
    };
    (@sort [$($plain:tt)*] [$($long:tt)*] [$($slow:tt)*] $name:ident = $kind:ident "mediawiki"; $($rest:tt)*) => {
        scenarios! { @sort [$($plain)*] [$($long)*] [$($slow)* $name = $kind "mediawiki";] $($rest)* }
    };
    (@sort [$($plain:tt)*] [$($long:tt)*] [$($slow:tt)*] $name:ident = $kind:ident $($profile:literal)?; $($rest:tt)*) => {
        scenarios! { @sort [$($plain)* $name = $kind $($profile)?;] [$($long)*] [$($slow)*] $($rest)* }
    };
    (@sort [$($plain:tt)*] [$($long:tt)*] [$($slow:tt)*]) => {
        mod plain {
            tests! { $($plain)* }
        }

        mod platform_longest {
            tests! { $($long)* }
        }

        mod platform_others {
            tests! { $($slow)* }
        }

        #[test]
        fn every_task_of_the_code_with_every_profile_is_broken() {
            let mut all = Scenario::all();
            let mut broken: Vec<Scenario> = plain::all();
            let slow = broken.iter().find(|scenario| scenario.is_on_a_platform());
            assert_eq!(slow, None, "its profile belongs into the macro above");
            broken.extend(platform_longest::all());
            broken.extend(platform_others::all());
            for list in [&mut broken, &mut all] {
                list.sort_by_key(|scenario| scenario.name());
            }
            assert_eq!(broken, all);
        }
    };
    ($($all:tt)*) => {
        scenarios! { @sort [] [] [] $($all)* }
    };
}

macro_rules! tests {
    ($($name:ident = $kind:ident $($profile:literal)?;)*) => {
        use super::*;

        $(mod $name {
            use super::*;

            #[tokio::test]
            #[ignore = "needs the stack: run deploy/test"]
            async fn broken_anywhere_it_leaves_nothing_or_is_whole_and_harms_nobody() {
                Breaker::new(scenario!($kind $($profile)?)).await.break_everything().await;
            }
        })*

        pub(super) fn all() -> Vec<Scenario> {
            vec![$(scenario!($kind $($profile)?),)*]
        }
    };
}

macro_rules! scenario {
    ($kind:ident $profile:literal) => {
        Scenario {
            kind: Kind::$kind,
            profile: Some($profile),
        }
    };
    ($kind:ident) => {
        Scenario {
            kind: Kind::$kind,
            profile: None,
        }
    };
}

scenarios! {
    ping = Ping;
    server_verify = ServerVerify;
    server_inventory = ServerInventory;
    server_print = ServerPrint;
    trash_list = TrashList;
    trash_restore_static = TrashRestore "static";
    trash_restore_php = TrashRestore "php";
    trash_empty_static = TrashEmpty "static";
    trash_empty_php = TrashEmpty "php";
    platform_build_wordpress = PlatformBuild "wordpress";
    platform_build_mediawiki = PlatformBuild "mediawiki";
    platform_verify_wordpress = PlatformVerify "wordpress";
    platform_delete_wordpress = PlatformDelete "wordpress";
    site_install_static = SiteInstall "static";
    site_install_php = SiteInstall "php";
    site_install_php_on_postgresql = SiteInstall "php-postgresql";
    site_install_wordpress = SiteInstall "wordpress";
    site_install_mediawiki = SiteInstall "mediawiki";
    site_delete_static = SiteDelete "static";
    site_delete_php = SiteDelete "php";
    site_delete_wordpress = SiteDelete "wordpress";
    site_delete_mediawiki = SiteDelete "mediawiki";
    backup_list = BackupList;
    backup_verify_static = BackupVerify "static";
    backup_delete_static = BackupDelete "static";
    backup_prune_static = BackupPrune "static";
    backup_extract_static = BackupExtract "static";
    site_backup_static = SiteBackup "static";
    site_backup_php = SiteBackup "php";
    site_backup_wordpress = SiteBackup "wordpress";
    site_https_static = SiteHttps "static";
    site_pool_php = SitePool "php";
    site_names_static = SiteNames "static";
    site_names_wordpress = SiteNames "wordpress";
    site_restore_wordpress = SiteRestore "wordpress";
    site_enable_static = SiteEnable "static";
    site_enable_php = SiteEnable "php";
    site_enable_wordpress = SiteEnable "wordpress";
    site_disable_static = SiteDisable "static";
    site_disable_php = SiteDisable "php";
    site_disable_wordpress = SiteDisable "wordpress";
    site_verify_static = SiteVerify "static";
    site_verify_php = SiteVerify "php";
    site_verify_php_on_postgresql = SiteVerify "php-postgresql";
    site_verify_wordpress = SiteVerify "wordpress";
    site_run_wordpress = SiteRun "wordpress";
    site_migrate_php = SiteMigrate "php";
    site_migrate_php_on_postgresql = SiteMigrate "php-postgresql";
    site_migrate_wordpress = SiteMigrate "wordpress";
    site_import_php = SiteImport "php";
    site_clone_php = SiteClone "php";
    site_clone_wordpress = SiteClone "wordpress";
    site_login_wordpress = SiteLogin "wordpress";
    site_hold_php = SiteHold "php";
    site_receive_php = SiteReceive "php";
    site_release_php = SiteRelease "php";
    site_import_static = SiteImport "static";
    site_import_wordpress = SiteImport "wordpress";
    site_import_mediawiki = SiteImport "mediawiki";
    recipe_list = RecipeList;
    recipe_run_static = RecipeRun "static";
}
