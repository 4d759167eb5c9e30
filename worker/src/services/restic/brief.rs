//! What a snapshot's tags say of its site, besides whose it is: all that has to be known before a restore begins, so that it
//! costs no start of restic of its own. The manifest, which is restored with the rest, has to say the same.
//!
//! Snapshots of older releases have no such tags.

use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::names::{Engine, PlatformName, ProfileName};

use super::Snapshot;

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// The site's kind.
    pub profile: ProfileName,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// Its folder, with which the files in the backup begin.
    pub folder: String,
    /// Where its data are, and how long their dump is.
    pub dump: Option<(Engine, u64)>,
}

impl Brief {
    /// As tags; none where they could not be told apart.
    pub(super) fn tags(&self) -> String {
        if self.folder.contains(',') {
            return String::new();
        }
        let mut tags = format!(",profile={},folder={}", self.profile, self.folder);
        if let Some(platform) = &self.platform {
            tags += &format!(",platform={platform}");
        }
        if let Some((engine, bytes)) = &self.dump {
            tags += &format!(",engine={engine},dump={bytes}");
        }
        tags
    }

    /// Out of a snapshot's tags.
    pub(super) fn of(snapshot: &Snapshot) -> anyhow::Result<Option<Self>> {
        let (Some(profile), Some(folder)) = (snapshot.tag("profile"), snapshot.tag("folder"))
        else {
            return Ok(None);
        };
        let dump = match (snapshot.tag("engine"), snapshot.tag("dump")) {
            (Some(engine), Some(bytes)) => {
                let engine = engine.parse().map_err(anyhow::Error::msg)?;
                Some((engine, bytes.parse().context("no length of a dump")?))
            }
            _ => None,
        };
        Ok(Some(Self {
            profile: profile.parse()?,
            platform: snapshot.tag("platform").map(str::parse).transpose()?,
            folder: folder.to_owned(),
            dump,
        }))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        Path::new(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(tags: &str) -> Snapshot {
        Snapshot {
            id: "1".to_owned(),
            tags: tags.split(',').map(str::to_owned).collect(),
        }
    }

    #[test]
    fn what_tags_are_made_of_comes_out_of_them_and_older_backups_have_none() {
        let mut brief = Brief {
            profile: "php".parse().expect("a profile"),
            platform: None,
            folder: "/srv/a b=c/a.test".to_owned(),
            dump: None,
        };
        let read = |brief: &Brief| Brief::of(&snapshot(&format!("kolga,run=1{}", brief.tags())));
        assert_eq!(read(&brief).expect("right"), Some(brief.clone()));
        brief.platform = Some("wp-6.1".parse().expect("a platform"));
        brief.dump = Some((Engine::Postgresql, 17));
        assert_eq!(read(&brief).expect("right"), Some(brief.clone()));
        brief.folder = "/srv/a,b/a.test".to_owned();
        assert_eq!(read(&brief).expect("none"), None, "told by the manifest");
        assert_eq!(Brief::of(&snapshot("kolga")).expect("none"), None);
        assert!(Brief::of(&snapshot("profile=../x,folder=/s")).is_err());
    }
}
