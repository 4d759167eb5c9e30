//! Step `publish_vhost`: from here on nginx serves the site. The file is tested aside, swapped in, tested
//! among the others and loaded, or nothing is changed: see [`crate::services::nginx`].
//!
//! Undo needs the host and the run, which the file's first line names. It ends with a reload also when the
//! file is gone already: whoever removed it may have died before nginx was told.

use std::sync::Arc;

use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::face::Face;
use crate::site::Site;
use crate::step::{Step, UndoError};
use crate::vhost;

/// Puts a site on the web.
pub struct PublishVhost(pub Arc<Site>);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
}

impl Step for PublishVhost {
    const NAME: &'static str = "publish_vhost";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        anyhow::ensure!(
            cx.spoke.nginx.vhost(&self.0.host)?.is_none(),
            "{} is there already and not this task's: move it away",
            cx.spoke.nginx.vhost_path(&self.0.host).display()
        );
        Ok(Record {
            host: self.0.host.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let text = self
            .0
            .vhost_text(&cx.spoke, &record.run.to_string(), Face::Site)?;
        cx.spoke.nginx.publish(cx, &record.host, &text).await?;
        cx.log.info(format!("nginx serves {}", self.0.url));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let nginx = &cx.spoke.nginx;
        let mark = vhost::mark(&record.run.to_string());
        let undone = match nginx.vhost(&record.host) {
            // Somebody else's: it stays as it is.
            Ok(Some(text)) if !text.starts_with(&mark) => {
                nginx.restore(cx, &record.host, Some(&text)).await
            }
            Ok(_) => nginx.restore(cx, &record.host, None).await,
            Err(error) => Err(error),
        };
        undone.map_err(|error| {
            let path = nginx.vhost_path(&record.host);
            UndoError::leaves(
                format!("{} or what nginx loaded of it", path.display()),
                error,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = PublishVhost(site(&cx));
        let record = Step::inspect(&step, &cx).await.expect("free");
        let path = cx.spoke.nginx.vhost_path(&step.0.host);
        PublishVhost::undo(&cx, &record).await.expect("never ran");

        let text = step
            .0
            .vhost_text(&cx.spoke, &cx.run.to_string(), Face::Site)
            .expect("a text");
        std::fs::write(&path, &text).expect("swapped, not loaded");
        PublishVhost::undo(&cx, &record).await.expect("ran by half");
        assert!(!path.exists());

        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
        PublishVhost::undo(&cx, &record).await.expect("ran whole");
        PublishVhost::undo(&cx, &record).await.expect("twice");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_strangers_file_is_refused_and_survives_an_undo() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = PublishVhost(site(&cx));
        let record = Step::inspect(&step, &cx).await.expect("free");
        let path = cx.spoke.nginx.vhost_path(&step.0.host);
        std::fs::write(&path, "# mine\n").expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
        PublishVhost::undo(&cx, &record)
            .await
            .expect("nothing of ours");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "# mine\n");
    }
}
