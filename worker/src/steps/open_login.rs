//! Step `open_login`: a token with which the site's page for it logs somebody in once. The site keeps its hash, for whom it
//! is and until when, in a folder where PHP may remove it; the token itself goes to the recipe, which seals it.
//!
//! What is hashed with the token is the name of the site's database: a site that is copied, restored, moved or renamed has
//! another one, so a link that was open then is good for nothing.
//!
//! Undo needs the host, the folder and the run, whose name the file has.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::names::HostName;
use kolga_protocol::task::site_login::LIFETIME;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cx::Cx;
use crate::files::{Dir, Kind};
use crate::layout;
use crate::profile::Place;
use crate::secrets::Secret;
use crate::services::database::hex;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Letters and digits in the part of a token that nobody can guess: 256 bits.
const LENGTH: usize = 43;
/// The most that is read of a file that says for whom a link is.
const LONGEST: u64 = 4096;

/// Opens a site for one login.
pub struct OpenLogin {
    /// Which site.
    pub site: Arc<Site>,
    /// Where it keeps what is open.
    pub folder: Place,
    /// Whom it is to log in.
    pub user: String,
    /// Where the recipe learns of the token.
    pub token: Arc<OnceLock<Token>>,
}

/// What makes a link.
#[derive(Debug)]
pub struct Token {
    /// All of it.
    pub text: Secret,
    /// Until when it is good.
    pub until: UnixMillis,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    folder: String,
    run: Run,
}

/// What the site keeps of a token.
#[derive(Serialize, Deserialize)]
struct Kept {
    user: String,
    hash: String,
    /// In seconds since 1970, as PHP counts.
    until: u64,
}

impl Step for OpenLogin {
    const NAME: &'static str = "open_login";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let record = Record {
            host: self.site.host.clone(),
            folder: self.folder.as_str().to_owned(),
            run: cx.run,
        };
        let folder = folder(cx, &record)?.with_context(|| {
            format!(
                "{0} has no folder {1} yet: kolga site verify {0} makes it",
                record.host, record.folder
            )
        })?;
        anyhow::ensure!(
            folder.kind(cx.run.to_string())?.is_none(),
            "{} is there already: move it away",
            folder.path().join(cx.run.to_string()).display()
        );
        Ok(record)
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let folder = folder(cx, record)?.context("the folder is gone")?;
        let now = UnixMillis::now().0 / 1000;
        let now = u64::try_from(now)?;
        remove_dead(&folder, now);
        let (name, secret) = (record.run.to_string(), Secret::generate(LENGTH)?);
        let text = Secret::of(format!("{name}.{}", secret.expose()));
        let database = self.site.database.as_ref();
        let database = database.map_or("", |name| name.as_str());
        let until = now + LIFETIME;
        let kept = Kept {
            user: self.user.clone(),
            hash: hash(database, text.expose()),
            until,
        };
        folder.write_new(&name, &serde_json::to_vec(&kept)?, 0o440)?;
        fault::point("open_login:open");
        let until = UnixMillis(i64::try_from(until * 1000)?);
        self.token.get_or_init(|| Token { text, until });
        cx.log.info(format!("opened {} for one login", record.host));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let removed = folder(cx, record).and_then(|folder| match folder {
            Some(folder) => folder.remove_file(record.run.to_string()),
            None => Ok(()),
        });
        removed.map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.host);
            let left = left.join(&record.folder).join(record.run.to_string());
            UndoError::leaves(left.display().to_string(), error)
        })
    }
}

/// As the page of the profile does it, too.
fn hash(database: &str, token: &str) -> String {
    hex(&Sha256::digest(format!("kolga-login\n{database}\n{token}")))
}

/// The folder where the site keeps what is open; nothing where it has none.
fn folder(cx: &Cx, record: &Record) -> anyhow::Result<Option<Dir>> {
    let sites = layout::sites(&cx.spoke.config)?;
    let Some(Kind::Dir) = sites.kind(record.host.as_str())? else {
        return Ok(None);
    };
    let top = sites.dir(record.host.as_str())?;
    match top.kind(&record.folder)? {
        None => Ok(None),
        Some(_) => top.dir(&record.folder).map(Some),
    }
}

/// Takes away what nobody has used in time. What cannot be read is none of ours.
fn remove_dead(folder: &Dir, now: u64) {
    for name in folder.names().unwrap_or_default() {
        let kept = folder.read(&name, LONGEST).ok().flatten();
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        if kept.is_some_and(|kept| kept.until < now) {
            // It is good for nothing any more; the next login tries again.
            folder.remove_file(&name).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    fn scene(scratch: &Scratch) -> (Cx, OpenLogin) {
        let cx = site_context(scratch);
        let step = OpenLogin {
            site: site(&cx),
            folder: "login".parse().expect("a place"),
            user: "admin".to_owned(),
            token: Arc::default(),
        };
        std::fs::create_dir_all(step.site.folder.join("login")).expect("a folder");
        (cx, step)
    }

    #[tokio::test]
    async fn what_is_kept_is_no_token_and_undo_takes_it_away_in_every_state() {
        let scratch = Scratch::new();
        let (cx, step) = scene(&scratch);
        let folder = step.site.folder.join("login");
        let dead = serde_json::json!({"user": "a", "hash": "b", "until": 1}).to_string();
        std::fs::write(folder.join("dead"), dead).expect("written");
        std::fs::write(folder.join("another's"), "not of this sort").expect("written");
        let record = Step::inspect(&step, &cx).await.expect("free");
        OpenLogin::undo(&cx, &record).await.expect("never ran");
        let half = folder.join(format!(".{}.new", cx.run));
        std::fs::write(&half, "{").expect("by half");
        OpenLogin::undo(&cx, &record).await.expect("by half");
        assert!(!half.exists());
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(Step::inspect(&step, &cx).await.is_err(), "it is there");
        let token = step.token.get().expect("made");
        let kept = std::fs::read_to_string(folder.join(cx.run.to_string())).expect("kept");
        let secret = token.text.expose().rsplit('.').next().expect("its end");
        assert_eq!(secret.len(), LENGTH);
        assert!(
            !kept.contains(secret)
                && !serde_json::to_string(&record)
                    .expect("JSON")
                    .contains(secret)
        );
        assert!(kept.contains(&hash("", token.text.expose())), "{kept}");
        assert!(!folder.join("dead").exists());
        OpenLogin::undo(&cx, &record).await.expect("ran whole");
        OpenLogin::undo(&cx, &record).await.expect("twice");
        let left = Dir::open(&folder).expect("there").names().expect("read");
        assert_eq!(left, ["another's"]);
        std::fs::remove_dir_all(&step.site.folder).expect("gone");
        OpenLogin::undo(&cx, &record)
            .await
            .expect("no site any more");
    }

    #[tokio::test]
    async fn a_site_without_the_folder_or_with_a_link_in_its_place_is_refused() {
        let scratch = Scratch::new();
        let (cx, step) = scene(&scratch);
        let folder = step.site.folder.join("login");
        std::fs::remove_dir(&folder).expect("there");
        let told = Step::inspect(&step, &cx).await.err().expect("refused");
        assert!(told.to_string().contains("site verify"), "{told}");
        std::os::unix::fs::symlink("/tmp", &folder).expect("linked");
        assert!(Step::inspect(&step, &cx).await.is_err());
    }
}
