//! `site.login`: a link that logs its reader in once, as the account that may administer the site. The profile says that it
//! can (`[login]`): a page of the platform's takes the token. docs/decisions/0016-login.md says why it is done so.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kolga_protocol::task;
use kolga_protocol::task::site_login::{Output, Params};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::profile::manifest::Login;
use crate::services::nginx::Answer;
use crate::site::Site;
use crate::steps::open_login::{OpenLogin, Token};

/// What the page says of itself when nobody has given it a token.
const PAGE: &str = "kolga-login";

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let entry = cx.spoke.registry.sites.load(host)?;
    let entry = entry.with_context(|| format!("there is no site {host} on this spoke"))?;
    anyhow::ensure!(
        entry.enabled,
        "{host} is disabled, so nobody could follow the link: kolga site enable {host}"
    );
    let site = Arc::new(Site::installed(&entry, &cx.spoke)?);
    let manifest = &site.profile.manifest;
    let (login, admin) = manifest
        .login
        .clone()
        .zip(manifest.admin.as_ref())
        .with_context(|| {
            format!(
                "sites of profile {} have no page that takes a login link",
                manifest.name
            )
        })?;
    let user = site.options.get(&admin.user_option);
    let user = user.with_context(|| format!("{host} has no {}", admin.user_option))?;
    let user = user.to_string();
    answers(&site, &login, cx).await?;

    let token: Arc<OnceLock<Token>> = Arc::default();
    let step = OpenLogin {
        site: Arc::clone(&site),
        folder: login.folder.clone(),
        user: user.clone(),
        token: Arc::clone(&token),
    };
    let seal = params.seal.clone();
    let page = format!("{}/{}", site.url, login.page);
    Ok(Plan::new(move || {
        let token = token.get().context("no token was made")?;
        Ok(task::Output::SiteLogin(Output {
            page,
            user,
            until: token.until,
            sealed: seal.seal(token.text.expose())?,
        }))
    })
    .step(step))
}

/// Whether the page is there, as a visitor asks for it.
async fn answers(site: &Site, login: &Login, cx: &Cx) -> anyhow::Result<()> {
    let code = site.code().context("the site has no platform")?;
    anyhow::ensure!(
        code.join(&login.page).is_file(),
        "the platform has no {}: it was built by an earlier release; build one anew and bring the site to it",
        login.page
    );
    let path = format!("/{}", login.page);
    let judge = |answer: &Answer| {
        anyhow::ensure!(
            answer.status == 200 && answer.body.contains(PAGE),
            "the page that takes a login link answers {}: kolga site verify {} mends it, if an earlier release \
             installed the site",
            answer.status,
            site.host
        );
        Ok(())
    };
    let nginx = &cx.spoke.nginx;
    for door in site.doors(&cx.spoke) {
        nginx
            .check_door(cx, door, site.main(), &path, judge)
            .await?;
    }
    Ok(())
}
