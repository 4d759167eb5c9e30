//! Step `reserve_site`: looks whether every place that the site will take is free, then makes its
//! secrets. The first step of `tasks::site_install`, so what is in the way is told before
//! anything is touched.
//!
//! Undo needs the host and the run that the secrets name as their owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::layout;
use crate::secrets::{PASSWORD_LENGTH, Secret, SiteSecrets};
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Makes a site's secrets.
pub struct ReserveSite(pub Arc<Site>);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
}

impl Step for ReserveSite {
    const NAME: &'static str = "reserve_site";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        refuse_taken_places(&self.0, cx).await?;
        Ok(Record {
            host: self.0.host.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let mut values = BTreeMap::new();
        for (name, length) in &self.0.profile.manifest.secrets {
            values.insert(name.clone(), Secret::generate(length.0)?);
        }
        let database_password = match self.0.database {
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

/// Refuses where something stands in a place that the site will take.
///
/// # Errors
/// Names all of it.
pub(crate) async fn refuse_taken_places(site: &Site, cx: &Cx) -> anyhow::Result<()> {
    let taken = taken_places(site, cx).await?;
    anyhow::ensure!(
        taken.is_empty(),
        "there already, and not made by this task: {}; move it away or remove it, or choose another name",
        taken.join(", ")
    );
    Ok(())
}

/// What stands where the site is to be, each thing by its full name.
async fn taken_places(site: &Site, cx: &Cx) -> anyhow::Result<Vec<String>> {
    let mut taken = Vec::new();
    if cx.spoke.secrets.path(&site.host).exists() {
        let path = cx.spoke.secrets.path(&site.host);
        taken.push(format!("the secrets {}", path.display()));
    }
    if layout::sites(&cx.spoke.config)?
        .kind(site.host.as_str())?
        .is_some()
    {
        taken.push(site.folder.display().to_string());
    }
    if cx.spoke.nginx.vhost(&site.host)?.is_some() {
        let path = cx.spoke.nginx.vhost_path(&site.host);
        taken.push(path.display().to_string());
    }
    if let Some(database) = &site.database {
        let service = cx.spoke.database(site.engine)?;
        if service.has_database(database).await? {
            taken.push(format!("the database {database}"));
        }
        if service.has_user(database).await? {
            taken.push(format!("the database user {database}"));
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_and_when_it_ran_whole() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = ReserveSite(site(&cx));
        let record = Step::inspect(&step, &cx).await.expect("all is free");
        ReserveSite::undo(&cx, &record).await.expect("never ran");
        Step::apply(&step, &cx, &record).await.expect("whole");
        let path = cx.spoke.secrets.path(&step.0.host);
        assert!(path.exists());
        ReserveSite::undo(&cx, &record).await.expect("ran whole");
        ReserveSite::undo(&cx, &record).await.expect("twice");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_record_and_the_log_hold_no_secret() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = ReserveSite(site(&cx));
        let record = Step::inspect(&step, &cx).await.expect("all is free");
        let json = serde_json::to_value(&record).expect("JSON");
        let keys: Vec<_> = json.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["host", "run"]);
    }

    #[tokio::test]
    async fn everything_that_is_in_the_way_is_named_at_once_and_unharmed() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = ReserveSite(site(&cx));
        let vhost = cx.spoke.nginx.vhost_path(&step.0.host);
        std::fs::create_dir(&step.0.folder).expect("planted");
        std::fs::write(&vhost, "# mine").expect("planted");
        let error = Step::inspect(&step, &cx)
            .await
            .err()
            .expect("refused")
            .to_string();
        assert!(
            error.contains(&step.0.folder.display().to_string()),
            "{error}"
        );
        assert!(error.contains(&vhost.display().to_string()), "{error}");
        assert!(step.0.folder.exists() && vhost.exists());
    }
}
