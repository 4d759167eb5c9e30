//! Step `swap_vhost`: visitors get another face of a site: the site as it is to be now, or a page in its place.
//! The file is tested aside, swapped in, tested among the others and loaded, or nothing is changed.
//!
//! Undo needs the host, the run, which the new file's first line names, and the text that was there before,
//! which holds no secret. What was there is kept beside it until the task has succeeded, so that undo only renames; the
//! text is for what somebody has taken away meanwhile, and for records of a release that kept nothing.

use std::sync::Arc;

use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::aside::Aside;
use crate::cx::Cx;
use crate::face::Face;
use crate::services::nginx::Kept;
use crate::site::Site;
use crate::step::{Step, UndoError};
use crate::vhost;

/// Shows another face of a site.
pub struct SwapVhost {
    /// Whose.
    pub site: Arc<Site>,
    /// Which.
    pub face: Face,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
    /// The file's text; `None` when there was none.
    previous: Option<String>,
    /// Whether it says already what it is to say.
    same: bool,
    /// Under which name it is kept.
    #[serde(default)]
    kept: Option<Kept>,
}

impl Step for SwapVhost {
    const NAME: &'static str = "swap_vhost";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let (previous, same) = self.compare(cx)?;
        Ok(Record {
            host: self.site.host.clone(),
            run: cx.run,
            same,
            previous,
            kept: Some(Kept::of(cx.run, self.face.word())),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        if record.same {
            return Ok(());
        }
        let text = self
            .site
            .vhost_text(&cx.spoke, &record.run.to_string(), self.face)?;
        let nginx = &cx.spoke.nginx;
        match &record.kept {
            Some(kept) => nginx.replace(cx, &record.host, &text, kept.clone()).await?,
            None => nginx.publish(cx, &record.host, &text).await?,
        }
        cx.log.info(format!(
            "visitors of {} get {}",
            self.site.url,
            self.face.name()
        ));
        Ok(())
    }

    fn aside(&self) -> Vec<Aside> {
        let why = self.face.word().to_owned();
        vec![Aside::Vhost { why }]
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        if record.same {
            return Ok(());
        }
        let (nginx, kept) = (&cx.spoke.nginx, record.kept.as_ref());
        let mark = vhost::mark(&record.run.to_string());
        let undone = match nginx.vhost(&record.host) {
            // Neither what was there nor ours: somebody has put his own there meanwhile, and it stays.
            Ok(Some(text))
                if !text.starts_with(&mark) && Some(&text) != record.previous.as_ref() =>
            {
                nginx.put_back(cx, &record.host, Some(&text), kept).await
            }
            Ok(_) => {
                let previous = record.previous.as_deref();
                nginx.put_back(cx, &record.host, previous, kept).await
            }
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

impl SwapVhost {
    /// What nginx reads of the site now, and whether that is what it is to read.
    pub(crate) fn compare(&self, cx: &Cx) -> anyhow::Result<(Option<String>, bool)> {
        let host = &self.site.host;
        let there = cx.spoke.nginx.vhost(host)?;
        if let Some(text) = &there {
            anyhow::ensure!(
                text.starts_with(vhost::MARK),
                "{} does not begin with the line that Kolga writes there: whose is it? Move it away, or \
                 give it that line back",
                cx.spoke.nginx.vhost_path(host).display()
            );
        }
        let owner = cx.run.to_string();
        let wanted = self.site.vhost_text(&cx.spoke, &owner, self.face)?;
        let body = |text: &str| text.split_once('\n').map(|(_, body)| body.to_owned());
        let same = there.as_deref().and_then(body) == body(&wanted);
        Ok((there, same))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    fn scene(scratch: &Scratch, face: Face) -> (Cx, SwapVhost, std::path::PathBuf, String) {
        let cx = site_context(scratch);
        let site = site(&cx);
        let path = cx.spoke.nginx.vhost_path(&site.host);
        let before = site
            .vhost_text(&cx.spoke, "an earlier run", Face::Site)
            .expect("a text");
        std::fs::write(&path, &before).expect("published");
        (cx, SwapVhost { site, face }, path, before)
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        let scratch = Scratch::new();
        let (cx, step, path, before) = scene(&scratch, Face::Maintenance);
        let record = Step::inspect(&step, &cx).await.expect("ours");
        SwapVhost::undo(&cx, &record).await.expect("never ran");
        let there = || std::fs::read_to_string(&path).expect("there");
        let inode = || std::fs::metadata(&path).expect("there").ino();
        let as_before = |was: u64| {
            assert_eq!(there(), before);
            assert_eq!(inode(), was, "renamed, not written again");
            let all = std::fs::read_dir(path.parent().expect("a folder"));
            assert_eq!(all.expect("read").count(), 1, "nothing is left aside");
        };
        as_before(inode());
        let kept = Kept::of(cx.run, step.face.word());
        let kept = path.with_file_name(std::ffi::OsStr::new(kept.as_ref()));
        let was = inode();
        std::fs::hard_link(&path, &kept).expect("kept only");
        SwapVhost::undo(&cx, &record).await.expect("kept only");
        as_before(was);

        let owner = cx.run.to_string();
        let after = step.site.vhost_text(&cx.spoke, &owner, step.face);
        let after = after.expect("a text");
        std::fs::rename(&path, &kept).expect("kept");
        std::fs::write(&path, &after).expect("swapped, not loaded");
        SwapVhost::undo(&cx, &record).await.expect("ran by half");
        as_before(was);
        std::fs::write(&path, &after).expect("swapped by a release that kept nothing");
        SwapVhost::undo(&cx, &record).await.expect("by the text");
        let was = inode();

        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(there(), after);
        assert!(
            after.contains("503") && after.contains("Retry-After"),
            "{after}"
        );
        SwapVhost::undo(&cx, &record).await.expect("ran whole");
        SwapVhost::undo(&cx, &record).await.expect("twice");
        as_before(was);
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(kept.exists(), "so that undo needs no room");
        for aside in Step::aside(&step) {
            aside.drop_of(&cx, cx.run).expect("dropped");
            aside.drop_of(&cx, cx.run).expect("twice");
        }
        assert!(!kept.exists() && there() == after);
    }

    #[tokio::test]
    async fn what_says_already_what_it_is_to_say_is_not_touched() {
        let scratch = Scratch::new();
        let (cx, step, path, before) = scene(&scratch, Face::Site);
        let record = Step::inspect(&step, &cx).await.expect("ours");
        Step::apply(&step, &cx, &record)
            .await
            .expect("nothing to do");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), before);
    }

    #[tokio::test]
    async fn a_strangers_file_is_refused_and_survives_an_undo() {
        let scratch = Scratch::new();
        let (cx, step, path, _) = scene(&scratch, Face::Disabled);
        let record = Step::inspect(&step, &cx).await.expect("ours");
        std::fs::write(&path, "# mine\n").expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
        SwapVhost::undo(&cx, &record)
            .await
            .expect("nothing of ours");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "# mine\n");
    }

    #[tokio::test]
    async fn an_operators_own_page_takes_the_place_of_ours() {
        let scratch = Scratch::new();
        let (cx, step, _, _) = scene(&scratch, Face::Disabled);
        let text = step.site.vhost_text(&cx.spoke, "a run", step.face);
        assert!(text.expect("a text").contains("switched off"));
        let mut config = cx.spoke.config.clone();
        config.pages.disabled = Some("/srv/pages/off.html".into());
        let spoke = crate::spoke::Spoke::open(config, None).await.expect("open");
        let text = step.site.vhost_text(&spoke, "a run", step.face);
        let text = text.expect("a text");
        assert!(text.contains("alias /srv/pages/off.html;"), "{text}");
        assert!(!text.contains("switched off"), "{text}");
    }
}
