//! Step `swap_secrets`: a site gets another database password, and keeps what else it has to hide, perhaps
//! under another name. What its profile wants and it had not yet is made. The old secrets go to the trash by a
//! move, so that they are never in two places and never in the journal.
//!
//! Undo needs both names and the run: the new secrets name it as their owner, the old ones lie in the trash
//! under it.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::secrets::{PASSWORD_LENGTH, Secret, SiteSecrets};
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Gives a site other secrets.
pub struct SwapSecrets {
    /// The name under which the site's secrets are kept now.
    pub from: HostName,
    /// The site as it is to be.
    pub site: Arc<Site>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    from: HostName,
    to: HostName,
    run: Run,
    /// The run that made the old ones.
    owner: String,
}

impl Step for SwapSecrets {
    const NAME: &'static str = "swap_secrets";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let (secrets, to) = (&cx.spoke.secrets, &self.site.host);
        let old = secrets
            .load(&self.from)?
            .with_context(|| format!("the secrets of {} are gone", self.from))?;
        anyhow::ensure!(
            self.from == *to || !secrets.path(to).exists(),
            "{} is there already and not this task's: move it away",
            secrets.path(to).display()
        );
        Ok(Record {
            from: self.from.clone(),
            to: to.clone(),
            run: cx.run,
            owner: old.owner,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let secrets = &cx.spoke.secrets;
        let old = secrets
            .load(&record.from)?
            .context("the site's secrets are gone")?;
        let mut values = old.values;
        let manifest = &self.site.profile.manifest;
        let installer = manifest.installer.iter().flat_map(|it| &it.secrets);
        let installer: Vec<_> = installer.filter(|_| self.site.imported).collect();
        for (name, length) in &manifest.secrets {
            // What an installer would have been told, nobody was of a site that was made of another.
            if !values.contains_key(name) && !installer.contains(&name) {
                values.insert(name.clone(), Secret::generate(length.0)?);
            }
        }
        let database_password = match self.site.database {
            Some(_) => Some(Secret::generate(PASSWORD_LENGTH)?),
            None => None,
        };
        let trash = &cx.spoke.trash;
        trash.keep_secrets(secrets, &record.from, &record.owner, record.run)?;
        fault::point("swap_secrets:aside");
        let new = SiteSecrets {
            owner: record.run.to_string(),
            database_password,
            values,
        };
        secrets.save(&record.to, &new)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let secrets = &cx.spoke.secrets;
        (|| {
            secrets.remove_of(&record.to, &record.run.to_string())?;
            let trash = &cx.spoke.trash;
            trash.give_secrets_back(secrets, &record.from, record.run)
        })()
        .map_err(|error| UndoError::leaves(secrets.path(&record.from).display().to_string(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        for from in ["www.example.org", "old.example.org"] {
            let scratch = Scratch::new();
            let cx = site_context(&scratch);
            let kept = &cx.spoke.secrets;
            let step = SwapSecrets {
                from: from.parse().expect("a host"),
                site: site(&cx),
            };
            let old = SiteSecrets {
                owner: "the installing run".to_owned(),
                database_password: Some(Secret::generate(32).expect("made")),
                values: [(
                    "salt".parse().expect("a name"),
                    Secret::generate(32).expect("made"),
                )]
                .into(),
            };
            kept.save(&step.from, &old).expect("saved");
            let there = || kept.load(&step.from).expect("read");
            let record = Step::inspect(&step, &cx).await.expect("there");
            let noted = serde_json::to_string(&record).expect("JSON");
            assert!(!noted.contains(old.values.values().next().expect("one").expose()));
            SwapSecrets::undo(&cx, &record).await.expect("never ran");
            assert_eq!(there().as_ref(), Some(&old));
            let trash = &cx.spoke.trash;
            trash
                .keep_secrets(kept, &step.from, &old.owner, cx.run)
                .expect("by half");
            SwapSecrets::undo(&cx, &record).await.expect("ran by half");
            assert_eq!(there().as_ref(), Some(&old));
            Step::apply(&step, &cx, &record).await.expect("whole");
            let new = kept.load(&step.site.host).expect("read").expect("there");
            assert_eq!(
                (new.owner, new.values),
                (cx.run.to_string(), old.values.clone())
            );
            SwapSecrets::undo(&cx, &record).await.expect("ran whole");
            SwapSecrets::undo(&cx, &record).await.expect("twice");
            assert_eq!(there().as_ref(), Some(&old));
            assert!(from == "www.example.org" || !kept.path(&step.site.host).exists());
        }
    }
}
