//! `site.release`: what `site.hold` has begun ends. The site comes back to its visitors as it was; or, when another server has
//! it by now, it goes to the trash here, from which it could still come back. What is not held is left alone, so that this
//! may be asked for again whenever it is not known what came of it.

use std::sync::Arc;

use kolga_protocol::names::HostName;
use kolga_protocol::task::site_release::{Output, Params};
use kolga_protocol::task::{self, Kind};

use crate::cx::Cx;
use crate::face::Face;
use crate::layout;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::site::Site;
use crate::steps::forget_site::ForgetSite;
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_vhost::SwapVhost;
use crate::steps::trash_site::TrashSite;
use crate::steps::unlock_database_user::UnlockDatabaseUser;
use crate::steps::unpublish_vhost::UnpublishVhost;
use crate::trash::{Discarded, discard};

pub(super) fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let Some(entry) = cx.spoke.registry.sites.load(host)? else {
        anyhow::ensure!(
            params.to.is_some(),
            "there is no site {host} on this spoke, held or not"
        );
        cx.log.info(format!("{host} is not here any more"));
        return Ok(unchanged(host, None, cx));
    };
    match (&params.to, entry.held.is_some()) {
        (None, false) => {
            cx.log.info(format!("{host} is not held"));
            Ok(unchanged(host, Some(entry), cx))
        }
        (None, true) => back(entry, cx),
        (Some(to), held) => {
            anyhow::ensure!(
                held || params.unheld,
                "{host} is not held here, so it has not moved to {to}: it stays"
            );
            Ok(gone(entry, cx))
        }
    }
}

fn unchanged(host: &HostName, entry: Option<SiteEntry>, cx: &Cx) -> Plan {
    let output = Output {
        url: None,
        path: layout::site(&cx.spoke.config, host).display().to_string(),
        database: entry.and_then(|entry| entry.database),
        changed: false,
    };
    Plan::new(move || Ok(task::Output::SiteRelease(output)))
}

/// As it was. Whether it answers well is not asked: that it does not would be no reason to keep visitors out.
fn back(before: SiteEntry, cx: &Cx) -> anyhow::Result<Plan> {
    let site = Arc::new(Site::installed(&before, &cx.spoke)?);
    let output = Output {
        url: Some(format!("{}/", site.url)),
        path: before.path.display().to_string(),
        database: before.database.clone(),
        changed: true,
    };
    let mut plan = Plan::new(move || Ok(task::Output::SiteRelease(output)));
    if let Some(name) = &before.database {
        plan = plan.step(UnlockDatabaseUser {
            name: name.clone(),
            engine: before.engine,
            owner: before.owner.clone(),
        });
    }
    let after = SiteEntry {
        held: None,
        ..before.clone()
    };
    Ok(plan
        .step(SwapVhost {
            site,
            face: Face::when(before.enabled),
        })
        .step(SwapEntry {
            before: Some(before),
            after,
        }))
}

/// Another server has it.
fn gone(entry: SiteEntry, cx: &Cx) -> Plan {
    let (host, owner) = (entry.host.clone(), entry.owner.clone());
    let output = Output {
        url: None,
        path: entry.path.display().to_string(),
        database: entry.database.clone(),
        changed: true,
    };
    let plan = Plan::new(move || Ok(task::Output::SiteRelease(output)))
        .step(UnpublishVhost(host.clone()))
        .step(TrashSite {
            host: host.clone(),
            owner: owner.clone(),
        });
    let discarded = Discarded {
        // What comes out of the trash is held by nobody.
        entry: SiteEntry {
            held: None,
            ..entry
        },
        folder: true,
        secrets: true,
        why: Kind::SiteRelease.as_str(),
    };
    discard(plan, cx, discarded).finally(ForgetSite { host, owner })
}

#[cfg(test)]
mod tests {
    use kolga_protocol::task::Params as AnyParams;
    use serde_json::json;

    use super::*;
    use crate::registry::Held;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    /// A site in the spoke's book, held or not.
    fn scene(scratch: &Scratch, held: bool) -> Cx {
        let cx = site_context(scratch);
        let held = held.then(|| Held {
            run: cx.run,
            to: "web2".parse().ok(),
        });
        let entry: SiteEntry = serde_json::from_value(json!({
            "host": "www.example.org", "owner": "an earlier run", "profile": "static", "held": held,
            "path": scratch.path().join("sites/www.example.org"), "installed_at": 1,
        }))
        .expect("an entry");
        cx.spoke.registry.sites.save(&entry).expect("saved");
        cx
    }

    fn wish(to: Option<&str>, unheld: bool) -> Params {
        Params {
            site: "www.example.org".parse().expect("a host"),
            to: to.map(|to| to.parse().expect("a server")),
            unheld,
        }
    }

    fn steps(params: &Params, cx: &Cx) -> anyhow::Result<Vec<&'static str>> {
        let plan = plan(params, cx)?;
        Ok(plan.steps.iter().map(|step| step.name()).collect())
    }

    #[tokio::test]
    async fn what_is_held_comes_back_or_goes_and_what_is_not_goes_only_when_that_is_said() {
        let scratch = Scratch::new();
        let cx = scene(&scratch, true);
        let back = steps(&wish(None, false), &cx).expect("held");
        assert_eq!(back, ["swap_vhost", "swap_entry"]);
        let gone = steps(&wish(Some("web2"), false), &cx).expect("held");
        assert_eq!(gone, ["unpublish_vhost", "trash_site"]);

        let scratch = Scratch::new();
        let cx = scene(&scratch, false);
        assert!(steps(&wish(None, false), &cx).expect("nothing").is_empty());
        let refused = steps(&wish(Some("web2"), false), &cx).expect_err("it serves");
        assert!(refused.to_string().contains("not held"), "{refused}");
        let gone = steps(&wish(Some("web2"), true), &cx).expect("it is said");
        assert_eq!(gone, ["unpublish_vhost", "trash_site"]);

        let host = wish(None, false).site;
        cx.spoke.registry.sites.remove(&host).expect("removed");
        assert!(steps(&wish(None, false), &cx).is_err(), "nothing to bring");
        let gone = steps(&wish(Some("web2"), false), &cx);
        assert!(gone.expect("it is as it should be").is_empty());
    }

    #[tokio::test]
    async fn nothing_else_is_done_with_a_site_that_is_held() {
        let scratch = Scratch::new();
        let cx = scene(&scratch, true);
        let site = "www.example.org";
        for (kind, params) in [
            ("site.verify", json!({"site": site})),
            ("site.backup", json!({"site": site})),
            ("site.hold", json!({"site": site})),
            ("site.delete", json!({"site": site, "no_backup": true})),
            (
                "site.clone",
                json!({"site": site, "to": "copy.example.org"}),
            ),
            ("site.disable", json!({"site": site})),
        ] {
            let params = AnyParams::from_json(kind, params).expect("parameters");
            let refused = super::super::plan(&params, &cx).await.err();
            let refused = refused.expect(kind).to_string();
            assert!(refused.contains("moves to web2"), "{kind}: {refused}");
        }
    }
}
