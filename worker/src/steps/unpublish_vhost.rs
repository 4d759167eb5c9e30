//! Step `unpublish_vhost`: takes a site off the web.
//!
//! Undo needs the host and the file's text, which holds no secret: the file is made what it was, and
//! nginx told, whether it was gone or not. It is kept under another name until the task has succeeded, so that this needs no room.

use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::aside::Aside;
use crate::cx::Cx;
use crate::services::nginx::Kept;
use crate::step::{Step, UndoError};
use crate::vhost;

/// Why its file is kept.
const WHY: &str = "taken-off";

/// Takes a site off the web.
pub struct UnpublishVhost(pub HostName);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    /// The file's text; `None` when there was none.
    text: Option<String>,
    /// Under which name it is kept.
    #[serde(default)]
    kept: Option<Kept>,
}

impl Step for UnpublishVhost {
    const NAME: &'static str = "unpublish_vhost";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let text = cx.spoke.nginx.vhost(&self.0)?;
        if let Some(text) = &text {
            anyhow::ensure!(
                text.starts_with(vhost::MARK),
                "{} does not begin with the line that Kolga writes there: whose is it? Move it away, or \
                 give it that line back",
                cx.spoke.nginx.vhost_path(&self.0).display()
            );
        }
        Ok(Record {
            host: self.0.clone(),
            text,
            kept: Some(Kept::of(cx.run, WHY)),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let nginx = &cx.spoke.nginx;
        match &record.kept {
            Some(kept) => nginx.take_off(cx, &record.host, kept.clone()).await?,
            None => nginx.restore(cx, &record.host, None).await?,
        }
        cx.log
            .info(format!("nginx does not serve {} any more", record.host));
        Ok(())
    }

    fn aside(&self) -> Vec<Aside> {
        let why = WHY.to_owned();
        vec![Aside::Vhost { why }]
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let nginx = &cx.spoke.nginx;
        nginx
            .put_back(
                cx,
                &record.host,
                record.text.as_deref(),
                record.kept.as_ref(),
            )
            .await
            .map_err(|error| {
                let path = nginx.vhost_path(&record.host);
                UndoError::leaves(format!("{} not as it was", path.display()), error)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_brings_the_very_file_back() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = UnpublishVhost("www.example.org".parse().expect("a host"));
        let path = cx.spoke.nginx.vhost_path(&step.0);
        let text = format!("{}server {{}}\n", vhost::mark("some run"));
        std::fs::write(&path, &text).expect("published");
        let record = Step::inspect(&step, &cx).await.expect("ours");
        UnpublishVhost::undo(&cx, &record).await.expect("never ran");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(!path.exists());
        let kept = path.with_file_name(std::ffi::OsStr::new(Kept::of(cx.run, WHY).as_ref()));
        assert!(kept.exists(), "so that undo needs no room");
        UnpublishVhost::undo(&cx, &record).await.expect("ran whole");
        assert!(!kept.exists());
        UnpublishVhost::undo(&cx, &record).await.expect("twice");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
    }

    #[tokio::test]
    async fn a_file_that_kolga_did_not_write_is_refused() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = UnpublishVhost("www.example.org".parse().expect("a host"));
        std::fs::write(cx.spoke.nginx.vhost_path(&step.0), "# mine").expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
    }
}
