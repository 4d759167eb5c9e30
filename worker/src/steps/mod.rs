//! Every step that a task can be made of: one file each, one line in `steps!` or `finals!`.
//!
//! The journal knows a step by its name only; these lists turn the name and the record back into code,
//! so that an attempt can be undone, or finished, after a crash.

pub mod check_face;
pub mod check_platform;
pub mod check_served;
pub mod check_site;
pub mod check_snapshot;
pub mod clear_stage;
pub mod close_database;
pub mod close_pool;
pub mod copy_beside;
pub mod copy_site_files;
pub mod copy_source;
pub mod create_database;
pub mod create_database_user;
pub mod drop_aside;
pub mod drop_database;
pub mod drop_database_user;
pub mod drop_former_user;
pub mod drop_old_settings;
pub mod drop_restored;
pub mod dump_database;
pub mod dump_source;
pub mod empty_item;
pub mod empty_trash;
pub mod fetch_platform;
pub mod file_trash;
pub mod finish_recipe_step;
pub mod forget_item;
pub mod forget_platform;
pub mod forget_site;
pub mod forget_snapshots;
pub mod import_database;
pub mod install_packages;
pub mod list_files;
pub mod lock_database_user;
pub mod make_site_folders;
pub mod make_snapshot;
pub mod mend_database_user;
pub mod mend_site;
pub mod move_site_folder;
pub mod open_login;
pub mod open_pool;
pub mod open_repository;
pub mod overlay_platform;
pub mod place_restored;
pub mod print_lines;
pub mod probe_server;
pub mod publish_platform;
pub mod publish_vhost;
pub mod read_backup;
pub mod read_repository;
pub mod receive_secrets;
pub mod register_platform;
pub mod register_site;
pub mod remove_platform;
pub mod reserve_site;
pub mod restore_snapshot;
pub mod run_command;
pub mod run_installer;
pub mod run_recipe_step;
pub mod run_upgrade;
pub mod scan_platform;
pub mod settle_modes;
pub mod settle_restored;
pub mod stage_backup;
pub mod swap_entry;
pub mod swap_folders;
pub mod swap_pool;
pub mod swap_secrets;
pub mod swap_settings;
pub mod swap_vhost;
pub mod take_inventory;
#[cfg(test)]
pub(crate) mod testing;
pub mod trash_platform;
pub mod trash_site;
pub mod try_face;
pub mod unlock_database_user;
pub mod unpack_platform;
pub mod unpublish_vhost;
pub mod untrash_site;
pub mod write_settings;
pub mod write_site_files;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::cx::Cx;
use crate::step::UndoError;

/// From one line a step, makes [`undo`] and the names.
macro_rules! steps {
    ($($step:path,)*) => {
        $(impl crate::step::Listed for $step {})*

        /// Every step that can be undone.
        pub const STEPS: &[&str] = &[$(<$step as crate::step::Step>::NAME,)*];

        /// Undoes the step of this name by its record.
        ///
        /// # Errors
        /// [`UndoError`], also when this release does not know the step or cannot read its record.
        pub fn undo<'a>(name: &'a str, cx: &'a Cx, record: &'a Value) -> BoxFuture<'a, Result<(), UndoError>> {
            $(
                if name == <$step as crate::step::Step>::NAME {
                    return Box::pin(async move {
                        let record = serde::Deserialize::deserialize(record)
                            .map_err(|error| UndoError::leaves(format!("whatever step {name} did"), error))?;
                        <$step as crate::step::Step>::undo(cx, &record).await
                    });
                }
            )*
            Box::pin(async move { Err(unknown(name)) })
        }
    };
}

/// From one line a step, makes [`finish`] and the names.
macro_rules! finals {
    ($($step:path,)*) => {
        $(impl crate::step::Listed for $step {})*

        /// Every step that comes after a point of no return.
        pub const FINALS: &[&str] = &[$(<$step as crate::step::FinalStep>::NAME,)*];

        /// Finishes the step of this name by its record.
        ///
        /// # Errors
        /// Whatever the step says, or that this release does not know it.
        pub fn finish<'a>(name: &'a str, cx: &'a Cx, record: &'a Value) -> BoxFuture<'a, anyhow::Result<()>> {
            $(
                if name == <$step as crate::step::FinalStep>::NAME {
                    return Box::pin(async move {
                        let record = serde::Deserialize::deserialize(record)?;
                        <$step as crate::step::FinalStep>::finish(cx, &record).await
                    });
                }
            )*
            Box::pin(async move { Err(unknown(name).source) })
        }
    };
}

steps! {
    unpack_platform::UnpackPlatform,
    fetch_platform::FetchPlatform,
    install_packages::InstallPackages,
    overlay_platform::OverlayPlatform,
    check_platform::CheckPlatform,
    list_files::ListFiles,
    publish_platform::PublishPlatform,
    register_platform::RegisterPlatform,
    reserve_site::ReserveSite,
    make_site_folders::MakeSiteFolders,
    create_database_user::CreateDatabaseUser,
    create_database::CreateDatabase,
    write_site_files::WriteSiteFiles,
    write_settings::WriteSettings,
    run_installer::RunInstaller,
    run_command::RunCommand,
    publish_vhost::PublishVhost,
    check_site::CheckSite,
    register_site::RegisterSite,
    mend_site::MendSite,
    mend_database_user::MendDatabaseUser,
    copy_site_files::CopySiteFiles,
    open_login::OpenLogin,
    open_pool::OpenPool,
    copy_beside::CopyBeside,
    swap_folders::SwapFolders,
    swap_pool::SwapPool,
    check_face::CheckFace,
    swap_vhost::SwapVhost,
    swap_settings::SwapSettings,
    swap_entry::SwapEntry,
    swap_secrets::SwapSecrets,
    close_database::CloseDatabase,
    move_site_folder::MoveSiteFolder,
    run_upgrade::RunUpgrade,
    untrash_site::UntrashSite,
    unlock_database_user::UnlockDatabaseUser,
    unpublish_vhost::UnpublishVhost,
    trash_site::TrashSite,
    trash_platform::TrashPlatform,
    settle_modes::SettleModes,
    scan_platform::ScanPlatform,
    probe_server::ProbeServer,
    take_inventory::TakeInventory,
    print_lines::PrintLines,
    stage_backup::StageBackup,
    dump_database::DumpDatabase,
    import_database::ImportDatabase,
    open_repository::OpenRepository,
    make_snapshot::MakeSnapshot,
    check_snapshot::CheckSnapshot,
    read_backup::ReadBackup,
    read_repository::ReadRepository,
    receive_secrets::ReceiveSecrets,
    run_recipe_step::RunRecipeStep,
    restore_snapshot::RestoreSnapshot,
    settle_restored::SettleRestored,
    place_restored::PlaceRestored,
    try_face::TryFace,
    dump_source::DumpSource,
    copy_source::CopySource,
    check_served::CheckServed,
}

finals! {
    drop_aside::DropAside,
    drop_database::DropDatabase,
    drop_database_user::DropDatabaseUser,
    drop_old_settings::DropOldSettings,
    drop_former_user::DropFormerUser,
    empty_trash::EmptyTrash,
    forget_site::ForgetSite,
    clear_stage::ClearStage,
    forget_snapshots::ForgetSnapshots,
    drop_restored::DropRestored,
    remove_platform::RemovePlatform,
    forget_platform::ForgetPlatform,
    lock_database_user::LockDatabaseUser,
    file_trash::FileTrash,
    empty_item::EmptyItem,
    forget_item::ForgetItem,
    finish_recipe_step::FinishRecipeStep,
    close_pool::ClosePool,
}

fn unknown(name: &str) -> UndoError {
    UndoError::leaves(
        format!("whatever step {name} did"),
        anyhow::anyhow!(
            "step {name} is not known to this release: install the release that ran it"
        ),
    )
}
