//! Step `swap_settings`: a site's settings say what they are to say now, at the same path. What they say is
//! made of `site.database` and of the secrets that the spoke holds when the step begins, so a task that gives
//! a site another database sets the one and replaces the others before.
//!
//! The file that was there is kept beside the new one under a name of the run, by a second link, so that at
//! every moment one of the two stands at the path; [`super::drop_old_settings`] removes it when the task is
//! past its point of no return. It holds secrets, so it never goes through the journal. Undo needs the host,
//! the run, the path, and whether there was one:
//!
//! | ended after | at the path | the run's name | undo |
//! |---|---|---|---|
//! | nothing | old | – | – |
//! | the second link | old | old | takes the name away |
//! | the new one aside | old | old | that too |
//! | the swap | new | old | renames old over new |
//!
//! Where none was there, the new file gets the run's name first and its own by a second link: undo removes
//! what stands at the path only if it is that very file.
//!
//! php-fpm may hold the old one in its cache for seconds; [`crate::opcache`] has it look again.

use std::ffi::OsString;
use std::sync::Arc;

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use super::make_site_folders::split;
use super::write_settings::text;
use crate::cx::Cx;
use crate::files::{Dir, Kind};
use crate::layout;
use crate::opcache;
use crate::profile::manifest::SettingsFile;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// No settings are longer.
const LONGEST: u64 = 1024 * 1024;

/// Replaces a site's settings.
pub struct SwapSettings {
    /// Whose, with the database that they are to name.
    pub site: Arc<Site>,
    /// Which file.
    pub file: SettingsFile,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    pub(super) host: HostName,
    pub(super) run: Run,
    pub(super) path: String,
    pub(super) found: Found,
    /// The pool that is the site's alone: whose php-fpm may hold the old ones.
    #[serde(default)]
    pub(super) pool: Option<String>,
}

/// How the settings that are there compare with those that are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// They are what they are to be: nothing is done.
    Same,
    /// They say something else, or have another mode.
    Different,
    /// There are none.
    Missing,
}

impl Step for SwapSettings {
    const NAME: &'static str = "swap_settings";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let record = Record {
            host: self.site.host.clone(),
            run: cx.run,
            path: self.file.path.as_str().to_owned(),
            found: compare(&self.site, &self.file, cx)?,
            pool: self.site.pool()?.map(|pool| pool.user.clone()),
        };
        let (_, folder, name) = place(cx, &record)?;
        let kept = kept(&name, cx.run);
        anyhow::ensure!(
            folder.kind(&kept)?.is_none(),
            "{} is there already: move it away",
            folder.path().join(kept).display()
        );
        Ok(record)
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        if record.found == Found::Same {
            return Ok(());
        }
        let text = text(&self.site, &self.file, cx)?;
        let (top, folder, name) = place(cx, record)?;
        let (kept, mode) = (kept(&name, record.run), self.file.mode.0);
        if record.found == Found::Missing {
            folder.write_new(&kept, text.as_bytes(), mode)?;
            fault::point("swap_settings:aside");
            folder.link(&kept, &name)?;
        } else {
            folder.link(&name, &kept)?;
            fault::point("swap_settings:kept");
            folder.write_atomically(&name, text.as_bytes(), mode)?;
        }
        fault::point("swap_settings:swapped");
        if let Some(php) = &self.site.php(&cx.spoke)? {
            opcache::forget(cx, php, &top, &record.path).await?;
        }
        cx.log
            .info(format!("wrote {}", folder.path().join(&name).display()));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        put_back(cx, record).await.map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.host).join(&record.path);
            UndoError::leaves(left.display().to_string(), error)
        })
    }
}

/// How the settings compare with what they are to be.
pub(crate) fn compare(site: &Site, file: &SettingsFile, cx: &Cx) -> anyhow::Result<Found> {
    let top = layout::sites(&cx.spoke.config)?.dir(site.host.as_str())?;
    let (folder, name) = split(&top, file.path.as_ref())?;
    let Some(looks) = folder.looks(&name)? else {
        return Ok(Found::Missing);
    };
    anyhow::ensure!(
        looks.kind == Kind::File,
        "{} is no regular file: move it away",
        folder.path().join(&name).display()
    );
    let own = rustix::process::geteuid().as_raw();
    let same = looks.mode == file.mode.0
        && looks.owner == own
        && folder.read(&name, LONGEST)?.as_deref() == Some(text(site, file, cx)?.as_bytes());
    Ok(if same { Found::Same } else { Found::Different })
}

/// The site's folder, that in which the settings lie, and their name there.
pub(super) fn place(cx: &Cx, record: &Record) -> anyhow::Result<(Dir, Dir, OsString)> {
    let top = layout::sites(&cx.spoke.config)?.dir(record.host.as_str())?;
    let (folder, name) = split(&top, record.path.as_ref())?;
    Ok((top, folder, name))
}

/// The run's own name beside the settings'.
pub(super) fn kept(name: &std::ffi::OsStr, run: Run) -> OsString {
    let mut kept = OsString::from(".");
    kept.push(name);
    kept.push(format!(".{run}"));
    kept
}

async fn put_back(cx: &Cx, record: &Record) -> anyhow::Result<()> {
    let sites = layout::sites(&cx.spoke.config)?;
    if record.found == Found::Same || sites.kind(record.host.as_str())?.is_none() {
        return Ok(());
    }
    let (top, folder, name) = place(cx, record)?;
    opcache::clean(&top)?;
    let kept = kept(&name, record.run);
    folder.remove_half_written(&name)?;
    folder.remove_half_written(&kept)?;
    let Some(ours) = folder.identity(&kept)? else {
        return Ok(());
    };
    if record.found == Found::Different {
        // Settings may go by their age to know for how long caches hold what was before them.
        folder.touch(&kept)?;
        folder.put_back(&kept, &name)?;
    } else {
        if folder.identity(&name)? == Some(ours) {
            folder.remove_file(&name)?;
        }
        fault::point("swap_settings:removed");
        folder.remove_file(&kept)?;
    }
    let php = match (&cx.spoke.php, &record.pool) {
        (Some(php), Some(pool)) => Some(php.at(&cx.spoke.need_pools()?.get(pool)?.socket)),
        (php, _) => php.clone(),
    };
    if let Some(php) = &php
        && let Err(error) = opcache::forget(cx, php, &top, &record.path).await
    {
        // The file is as it was. A php-fpm that is down holds nothing, and any other looks by itself.
        cx.log.warn(format!("{error:#}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::PathBuf;

    use super::*;
    use crate::secrets::{Secret, SiteSecrets};
    use crate::step::FinalStep;
    use crate::steps::drop_old_settings::DropOldSettings;
    use crate::steps::testing::site_context;
    use crate::testing::{Scratch, context};

    const PROFILE: &str = "name = \"own\"\ndescription = \"x\"\n\
        [secrets]\nkey = 32\n[[directories]]\npath = \"private\"\nmode = \"0750\"\nweb = \"read\"\n\
        [settings]\npath = \"private/settings.php\"\ntemplate = \"settings.php\"\nmode = \"0440\"\n\
        [vhost]\ntemplate = \"v.conf\"\n[healthy]\npath = \"/\"\nstatus = 200\n";

    /// A site of a profile with settings, in a spoke without PHP.
    fn scene(scratch: &Scratch) -> (Cx, SwapSettings, PathBuf) {
        let mut config = site_context(scratch).spoke.config.clone();
        let own = scratch.path().join("profiles/own");
        std::fs::create_dir_all(&own).expect("a folder");
        std::fs::write(own.join("profile.toml"), PROFILE).expect("a file");
        std::fs::write(own.join("settings.php"), "key {{ secrets.key|php }}").expect("a file");
        std::fs::write(own.join("v.conf"), "server { listen {{ listen[0] }}; }").expect("a file");
        config.profiles.directories = vec![scratch.path().join("profiles")];
        let cx = context(config).0;
        let params = serde_json::from_str(r#"{"site": "www.example.org", "profile": "own"}"#);
        let site = Site::new(&params.expect("parameters"), &cx.spoke, cx.run).expect("a site");
        let key = Secret::generate(32).expect("made");
        let secrets = SiteSecrets {
            owner: "a run".to_owned(),
            database_password: None,
            values: [("key".parse().expect("a name"), key)].into(),
        };
        cx.spoke.secrets.save(&site.host, &secrets).expect("saved");
        let private = site.folder.join("private");
        std::fs::create_dir_all(&private).expect("a folder");
        let file = site.profile.manifest.settings.clone().expect("it has some");
        let site = Arc::new(site);
        (cx, SwapSettings { site, file }, private)
    }

    fn names(folder: &std::path::Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).expect("there").flatten();
        let mut names: Vec<String> = names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn undo_is_right_after_every_part_of_it_and_brings_the_very_file_back() {
        let scratch = Scratch::new();
        let (cx, step, private) = scene(&scratch);
        let path = private.join("settings.php");
        std::fs::write(&path, "old").expect("there");
        let before = std::fs::metadata(&path).expect("there").ino();
        let record = Step::inspect(&step, &cx).await.expect("ours");
        assert_eq!(record.found, Found::Different);
        let as_before = || {
            assert_eq!(names(&private), ["settings.php"]);
            assert_eq!(std::fs::read_to_string(&path).expect("there"), "old");
            assert_eq!(std::fs::metadata(&path).expect("there").ino(), before);
        };
        SwapSettings::undo(&cx, &record).await.expect("never ran");
        as_before();
        let (_, folder, name) = place(&cx, &record).expect("there");
        folder.link(&name, kept(&name, cx.run)).expect("linked");
        SwapSettings::undo(&cx, &record).await.expect("kept only");
        as_before();
        folder.link(&name, kept(&name, cx.run)).expect("linked");
        std::fs::write(private.join(".settings.php.new"), "ne").expect("half written");
        SwapSettings::undo(&cx, &record).await.expect("by half");
        as_before();
        let old = std::time::SystemTime::UNIX_EPOCH;
        let file = std::fs::File::open(&path).expect("opened");
        file.set_modified(old).expect("set");
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(
            std::fs::read_to_string(&path)
                .expect("there")
                .contains("key '")
        );
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o440);
        SwapSettings::undo(&cx, &record).await.expect("ran whole");
        SwapSettings::undo(&cx, &record).await.expect("twice");
        as_before();
        let age = file.metadata().expect("there").modified().expect("told");
        assert!(age > old, "it counts as new");
    }

    #[tokio::test]
    async fn settings_that_are_missing_are_made_and_taken_away_again() {
        let scratch = Scratch::new();
        let (cx, step, private) = scene(&scratch);
        let record = Step::inspect(&step, &cx).await.expect("ours");
        assert_eq!(record.found, Found::Missing);
        Step::apply(&step, &cx, &record).await.expect("whole");
        SwapSettings::undo(&cx, &record).await.expect("ran whole");
        SwapSettings::undo(&cx, &record).await.expect("twice");
        assert!(names(&private).is_empty());

        std::fs::write(private.join("settings.php"), "another's").expect("planted");
        assert!(Step::apply(&step, &cx, &record).await.is_err());
        SwapSettings::undo(&cx, &record).await.expect("by half");
        assert_eq!(
            names(&private),
            ["settings.php"],
            "what somebody put there stays"
        );
    }

    #[tokio::test]
    async fn what_ends_well_keeps_no_old_settings_and_has_nothing_to_do_again() {
        let scratch = Scratch::new();
        let (cx, step, private) = scene(&scratch);
        std::fs::write(private.join("settings.php"), "old").expect("there");
        let record = Step::inspect(&step, &cx).await.expect("ours");
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(names(&private).len(), 2);
        let last = DropOldSettings {
            host: step.site.host.clone(),
            path: step.file.path.clone(),
        };
        let record = FinalStep::inspect(&last, &cx)
            .await
            .expect("nothing to refuse");
        DropOldSettings::finish(&cx, &record).await.expect("done");
        DropOldSettings::finish(&cx, &record).await.expect("twice");
        assert_eq!(names(&private), ["settings.php"]);
        let record = Step::inspect(&step, &cx).await.expect("ours");
        assert_eq!(record.found, Found::Same);
        Step::apply(&step, &cx, &record)
            .await
            .expect("nothing to do");
        assert_eq!(names(&private), ["settings.php"]);
    }

    #[tokio::test]
    async fn a_link_in_place_of_the_settings_is_refused() {
        let scratch = Scratch::new();
        let (cx, step, private) = scene(&scratch);
        std::os::unix::fs::symlink("/etc/passwd", private.join("settings.php")).expect("planted");
        let error = Step::inspect(&step, &cx)
            .await
            .map(drop)
            .expect_err("no file");
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}
