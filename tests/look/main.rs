//! WordPress and MediaWiki as a person sees them, in a headless Chromium: after they were installed, restored, cloned and
//! moved.
//!
//! `deploy/look` brings up services and the browser and runs this; it is no part of `deploy/test`, for which the browser
//! would be much to download. Pictures of all pages are left in the folder that `KOLGA_LOOK_PICTURES` names.

mod browser;
mod judge;

use std::path::PathBuf;
use std::time::Duration;

use kolga_protocol::seal::Opener;
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::{SERVER, newer_wordpress};
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{clear, maria};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::browser::{Browser, save};
use crate::judge::{Page, look};

/// For how long a page may take to send its form and to get an answer.
const FORM: Duration = Duration::from_secs(30);

/// An application whose sites are looked at.
struct App {
    profile: &'static str,
    source: &'static str,
    pages: &'static [Page],
    /// What only who is logged in gets to see.
    inside: Page,
    /// A statement for the site's database that a visitor notices on the first of the pages.
    spoil: &'static str,
}

const WORDPRESS: App = App {
    profile: "wordpress",
    source: "/usr/share/wordpress",
    pages: &[
        Page {
            name: "front",
            path: "/",
            title: "Nine waves",
            text: "Hello world!",
            // A browser's own is 8px.
            styled: ("body", "margin-top", "0px"),
        },
        Page {
            name: "post",
            path: "/?p=1",
            title: "Hello world!",
            text: "Welcome to WordPress",
            styled: ("body", "margin-top", "0px"),
        },
        Page {
            name: "login",
            path: "/wp-login.php",
            title: "Log In",
            text: "Lost your password?",
            styled: ("body", "background-color", "rgb(240, 240, 241)"),
        },
    ],
    inside: Page {
        name: "inside",
        path: "/wp-admin/",
        title: "Dashboard",
        text: "At a Glance",
        styled: ("#wpadminbar", "position", "fixed"),
    },
    spoil: "UPDATE wp_options SET option_value = 'Spoilt' WHERE option_name = 'blogname'",
};

const MEDIAWIKI: App = App {
    profile: "mediawiki",
    source: "/usr/share/mediawiki",
    pages: &[
        Page {
            name: "main",
            path: "/wiki/Main_Page",
            title: "Nine waves",
            text: "MediaWiki has been installed",
            styled: ("#mw-panel", "position", "absolute"),
        },
        Page {
            name: "login",
            path: "/wiki/Special:UserLogin",
            title: "Log in",
            text: "Keep me logged in",
            styled: ("#mw-panel", "position", "absolute"),
        },
        Page {
            name: "version",
            path: "/wiki/Special:Version",
            title: "Version",
            text: "ParserFunctions",
            styled: ("#mw-panel", "position", "absolute"),
        },
    ],
    inside: Page {
        name: "inside",
        path: "/wiki/Special:Preferences",
        title: "Preferences",
        text: "Admin",
        styled: ("#mw-panel", "position", "absolute"),
    },
    spoil: "DELETE FROM page WHERE page_title = 'Main_Page'",
};

/// A system, and somebody who looks at it.
struct Scene {
    stack: Stack,
    hub: Hub,
    worker: Worker,
    browser: Browser,
    pictures: PathBuf,
    wrong: Vec<String>,
}

impl Scene {
    async fn new() -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let pictures = std::env::var("KOLGA_LOOK_PICTURES").expect("run deploy/look");
        let browser = Browser::start(&stack).await;
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
        Self {
            stack,
            hub,
            worker,
            browser,
            pictures: PathBuf::from(pictures),
            wrong: Vec::new(),
        }
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}", self.stack.http_port(SERVER))
    }

    async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        let task = self.hub.ask(&request).await;
        self.hub.succeeds(&task).await["output"].clone()
    }

    async fn database(&self, host: &str) -> String {
        let entry = self.stack.spoke(SERVER, "state_dir");
        let entry = std::fs::read(entry.join("sites").join(format!("{host}.json")));
        let entry: Value = serde_json::from_slice(&entry.expect("a site")).expect("JSON");
        entry["database"].as_str().expect("it has one").to_owned()
    }

    async fn sql(&self, database: &str, statement: &str) {
        let mut server = maria(&self.stack).await;
        let using = format!("USE `{database}`");
        server.execute(AssertSqlSafe(using)).await.expect("used");
        let statement = AssertSqlSafe(statement.to_owned());
        server.execute(statement).await.expect("done");
    }

    /// Looks at all pages, and notes what is wrong with them.
    async fn see(&mut self, app: &App, stage: &str, host: &str, former: Option<&str>) {
        println!("{} {stage}", app.profile);
        for page in app.pages {
            self.see_page(app, stage, host, page, former).await;
        }
    }

    async fn see_page(
        &mut self,
        app: &App,
        stage: &str,
        host: &str,
        page: &Page,
        former: Option<&str>,
    ) {
        let seen = look(&self.browser, &self.url(host), page, former).await;
        let name = format!("{}-{stage}-{}.png", app.profile, page.name);
        save(&seen.picture, &self.pictures.join(&name));
        let wrong = seen.wrong.into_iter();
        self.wrong
            .extend(wrong.map(|what| format!("{name}: {what}")));
    }

    /// Follows a link that logs in, looks inside, and sees to it that the link does no more for another browser.
    async fn log_in(&mut self, app: &App, host: &str, former: &str) {
        let opener = Opener::generate();
        let seal = json!({"seal": String::from(opener.key())});
        let told = self.on_site(host, "site.login", seal).await;
        let sealed = told["sealed"].as_str().expect("digits").to_owned();
        let token = opener
            .open(&sealed.try_into().expect("sealed"))
            .expect("ours");
        let page = told["page"].as_str().expect("an address");
        let link = format!("{page}#{token}");
        let inside = self.follow(&link, page).await;
        assert!(inside.starts_with(&self.url(host)), "{inside}");
        self.see_page(app, "migrated", host, &app.inside, Some(former))
            .await;
        self.browser.forget_cookies().await;
        let said = self.follow(&link, page).await;
        assert!(said.contains("good for nothing"), "a second time: {said}");
    }

    /// Opens a link whose page sends a form by itself; where that leads, and what can be read there.
    async fn follow(&self, link: &str, page: &str) -> String {
        const HERE: &str =
            "return document.readyState === 'complete' && !document.querySelector('#kolga-login')
            ? `${location.href} ${document.body.innerText}` : null";
        self.browser.open("about:blank").await;
        self.browser.open(link).await;
        until(&format!("{page} leads on"), FORM, async || {
            let here = self.browser.run(HERE, json!([])).await;
            here.as_str().map(str::to_owned)
        })
        .await
    }

    /// The whole life of a site, with a look at it after each task that makes it anew.
    async fn life(&mut self, app: &App, next: &str) {
        let (host, new) = (
            format!("{}.kolga.test", app.profile),
            format!("renamed-{}.kolga.test", app.profile),
        );
        for (name, source) in [(app.profile, app.source), ("next", next)] {
            let task = self.hub.build(SERVER, name, app.profile, source).await;
            self.hub.succeeds(&task).await;
        }
        let site = json!({
            "host": host, "server": SERVER, "profile": app.profile, "platform": app.profile,
            "aliases": [], "options": {"title": "Nine waves"},
        });
        let task = self.hub.ask(&Request::post("/v1/sites", site)).await;
        self.hub.succeeds(&task).await;
        self.see(app, "installed", &host, None).await;

        let backup = self.on_site(&host, "site.backup", json!({})).await;
        let database = self.database(&host).await;
        self.sql(&database, app.spoil).await;
        let spoilt = look(&self.browser, &self.url(&host), &app.pages[0], None).await;
        assert!(!spoilt.wrong.is_empty(), "what is wrong is noticed");
        println!("  as it should be: {}", spoilt.wrong.join("; "));
        let backup = json!({"backup": backup["backup"]});
        self.on_site(&host, "site.restore", backup).await;
        self.see(app, "restored", &host, None).await;

        let copy = format!("copy-{}.kolga.test", app.profile);
        self.on_site(&host, "site.clone", json!({"to": copy})).await;
        self.see(app, "cloned", &copy, Some(&host)).await;

        let there = json!({"platform": "next", "host": new});
        self.on_site(&host, "site.migrate", there).await;
        self.see(app, "migrated", &new, Some(&host)).await;
        self.log_in(app, &new, &host).await;
    }

    async fn end(self) {
        self.worker.stop().await;
        println!("pictures: {}", self.pictures.display());
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
    }
}

#[tokio::test]
#[ignore = "needs the stack and a browser: run deploy/look"]
async fn a_wordpress_looks_right_after_it_was_installed_restored_cloned_and_moved() {
    let mut scene = Scene::new().await;
    let next = newer_wordpress(&scene.stack);
    scene.life(&WORDPRESS, &next).await;
    scene.end().await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser: run deploy/look"]
async fn a_wiki_looks_right_after_it_was_installed_restored_cloned_and_moved() {
    let mut scene = Scene::new().await;
    scene.life(&MEDIAWIKI, MEDIAWIKI.source).await;
    scene.end().await;
}
