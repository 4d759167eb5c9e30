//! `backup.verify`: every byte of a backup is read back. Only looks.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use kolga_protocol::task::{Output, backup_verify};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::steps::read_backup::ReadBackup;

pub(super) fn plan(params: &backup_verify::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let began = Instant::now();
    cx.spoke.need_backups()?;
    let step = ReadBackup {
        backup: params.backup.clone(),
        read: Arc::default(),
    };
    let read = Arc::clone(&step.read);
    let plan = Plan::new(move || {
        let read = read.get().context("nothing was read")?;
        Ok(Output::BackupVerify(backup_verify::Output {
            backup: read.id.clone(),
            site: read.site.clone(),
            at: read.at,
            files: read.files,
            bytes: read.bytes,
            milliseconds: u64::try_from(began.elapsed().as_millis())?,
        }))
    });
    Ok(plan.step(step))
}
