//! Step `receive_secrets`: looks whether every place that a site from another server will take is free, then keeps its
//! secrets: those that the other server has sealed to this one's key, and new ones for what is not among them. The database's
//! password is always new. The first step of `tasks::site_receive`.
//!
//! Undo needs the host and the run that the secrets name as their owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::{HostName, OptionName};
use kolga_protocol::seal::Sealed;
use serde::{Deserialize, Serialize};

use super::reserve_site::refuse_taken_places;
use crate::cx::Cx;
use crate::secrets::{PASSWORD_LENGTH, Secret, SiteSecrets};
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Keeps the secrets of a site that comes here.
pub struct ReceiveSecrets {
    /// The site as it is to be.
    pub site: Arc<Site>,
    /// What the other server has sealed.
    pub sealed: Option<Sealed>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
}

impl Step for ReceiveSecrets {
    const NAME: &'static str = "receive_secrets";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        refuse_taken_places(&self.site, cx).await?;
        Ok(Record {
            host: self.site.host.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let mut values = self.opened(cx)?;
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
        let secrets = SiteSecrets {
            owner: record.run.to_string(),
            database_password,
            values,
        };
        cx.spoke.secrets.save(&record.host, &secrets)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let secrets = &cx.spoke.secrets;
        secrets
            .remove_of(&record.host, &record.run.to_string())
            .map_err(|error| {
                UndoError::leaves(secrets.path(&record.host).display().to_string(), error)
            })
    }
}

impl ReceiveSecrets {
    fn opened(&self, cx: &Cx) -> anyhow::Result<BTreeMap<OptionName, Secret>> {
        let Some(sealed) = &self.sealed else {
            return Ok(BTreeMap::new());
        };
        let text = cx.spoke.secrets.opener()?.open(sealed);
        let text = text.context("the site's secrets cannot be opened: ask for the move again")?;
        // The parser's own words could quote what it choked on.
        serde_json::from_str(&text).map_err(|_| anyhow::anyhow!("the site's secrets are damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn what_was_sealed_is_kept_and_undo_is_right_when_it_never_ran_and_when_it_ran_whole() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let key = cx.spoke.secrets.opener().expect("made").key();
        let step = ReceiveSecrets {
            site: site(&cx),
            sealed: Some(key.seal("{\"salt\":\"as it was\"}").expect("sealed")),
        };
        let record = Step::inspect(&step, &cx).await.expect("all is free");
        ReceiveSecrets::undo(&cx, &record).await.expect("never ran");
        Step::apply(&step, &cx, &record).await.expect("whole");
        let kept = cx.spoke.secrets.load(&step.site.host).expect("read");
        let kept = kept.expect("kept");
        assert_eq!(kept.owner, cx.run.to_string());
        let salt = kept.values.get(&"salt".parse().expect("a name"));
        assert_eq!(salt.map(Secret::expose), Some("as it was"));
        ReceiveSecrets::undo(&cx, &record).await.expect("ran whole");
        ReceiveSecrets::undo(&cx, &record).await.expect("twice");
        assert_eq!(cx.spoke.secrets.load(&step.site.host).expect("read"), None);
    }

    #[tokio::test]
    async fn what_was_sealed_to_another_key_is_refused_and_a_strangers_secrets_stay() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let key = kolga_protocol::seal::Opener::generate().key();
        let step = ReceiveSecrets {
            site: site(&cx),
            sealed: Some(key.seal("{}").expect("sealed")),
        };
        let record = Step::inspect(&step, &cx).await.expect("all is free");
        assert!(Step::apply(&step, &cx, &record).await.is_err());
        let others = SiteSecrets {
            owner: "somebody".to_owned(),
            database_password: None,
            values: BTreeMap::new(),
        };
        cx.spoke
            .secrets
            .save(&step.site.host, &others)
            .expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err(), "taken");
        ReceiveSecrets::undo(&cx, &record).await.expect("not ours");
        let left = cx.spoke.secrets.load(&step.site.host).expect("read");
        assert_eq!(left, Some(others));
    }
}
