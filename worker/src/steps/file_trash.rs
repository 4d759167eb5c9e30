//! Final step `file_trash`: what earlier steps have moved aside becomes an item of the trash
//! ([`crate::trash`]), and the secrets go there too where they have not gone yet.

use kolga_protocol::fault;
use kolga_protocol::id::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::files::blocking;
use crate::layout;
use crate::step::FinalStep;
use crate::trash::{Discarded, Item};

/// Makes an item of it.
pub struct FileTrash(pub Discarded);

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    item: Item,
    /// Whether the secrets are to be moved.
    secrets: bool,
}

impl FinalStep for FileTrash {
    const NAME: &'static str = "file_trash";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let entry = self.0.entry.clone();
        let mut bytes = match &entry.database {
            Some(name) => cx.spoke.database(entry.engine)?.size_of(name).await?,
            None => 0,
        };
        if self.0.folder {
            let (trash, name) = (layout::trash(&cx.spoke.config)?, cx.run.to_string());
            bytes += blocking(move || Ok(trash.bytes_below(name))).await?;
        }
        Ok(Record {
            item: Item {
                run: cx.run,
                why: self.0.why.to_owned(),
                at: UnixMillis::now(),
                entry,
                folder: self.0.folder,
                bytes,
            },
            secrets: self.0.secrets,
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let (trash, item) = (&cx.spoke.trash, &record.item);
        if record.secrets {
            let (host, owner) = (&item.entry.host, &item.entry.owner);
            trash.keep_secrets(&cx.spoke.secrets, host, owner, item.run)?;
            fault::point("file_trash:secrets");
        }
        trash.keep(item)?;
        let (host, days) = (&item.entry.host, cx.spoke.config.trash.keep_days);
        cx.log.info(match item.folder {
            true => format!(
                "{host} is in the trash for {days} days: kolga trash restore {} brings it back",
                item.run.task
            ),
            false => format!("the former database of {host} is in the trash for {days} days"),
        });
        Ok(())
    }
}
