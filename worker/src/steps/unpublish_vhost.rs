//! Step `unpublish_vhost`: takes a site off the web.
//!
//! Undo needs the host and the file's text, which holds no secret: the file is made what it was, and
//! nginx told, whether it was gone or not.

use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::site::VHOST_MARK;
use crate::step::{Step, UndoError};

/// Takes a site off the web.
pub struct UnpublishVhost(pub HostName);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    /// The file's text; `None` when there was none.
    text: Option<String>,
}

impl Step for UnpublishVhost {
    const NAME: &'static str = "unpublish_vhost";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let text = cx.spoke.nginx.vhost(&self.0)?;
        if let Some(text) = &text {
            anyhow::ensure!(
                text.starts_with(VHOST_MARK),
                "{} does not begin with the line that Kolga writes there: whose is it? Move it away, or \
                 give it that line back",
                cx.spoke.nginx.vhost_path(&self.0).display()
            );
        }
        Ok(Record {
            host: self.0.clone(),
            text,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        cx.spoke.nginx.restore(cx, &record.host, None).await?;
        cx.log
            .info(format!("nginx does not serve {} any more", record.host));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let nginx = &cx.spoke.nginx;
        nginx
            .restore(cx, &record.host, record.text.as_deref())
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
    use crate::site::vhost_mark;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_brings_the_very_file_back() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = UnpublishVhost("www.example.org".parse().expect("a host"));
        let path = cx.spoke.nginx.vhost_path(&step.0);
        let text = format!("{}server {{}}\n", vhost_mark("some run"));
        std::fs::write(&path, &text).expect("published");
        let record = Step::inspect(&step, &cx).await.expect("ours");
        UnpublishVhost::undo(&cx, &record).await.expect("never ran");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(!path.exists());
        UnpublishVhost::undo(&cx, &record).await.expect("ran whole");
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
