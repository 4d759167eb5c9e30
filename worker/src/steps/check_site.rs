//! Step `check_site`: asks nginx for the site as a visitor would, and looks whether the answer is what the
//! profile calls healthy.
//!
//! It only looks, so undo has nothing to do.

use std::sync::Arc;
use std::time::Duration;

use kolga_protocol::names::HostName;

use crate::cx::Cx;
use crate::services::nginx::Answer;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Where nginx takes long to read its configuration, an old worker of it may still be the one to not know
/// the site. One that answers after this pause too is there for all.
const PAUSE: Duration = Duration::from_millis(150);
/// With which status a name leads to another.
const REDIRECT: u16 = 301;

/// Asks a site for its page.
pub struct CheckSite(pub Arc<Site>);

impl Step for CheckSite {
    const NAME: &'static str = "check_site";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let healthy = &self.0.profile.manifest.healthy;
        self.ask(cx).await?;
        tokio::time::sleep(PAUSE).await;
        self.ask(cx).await?;
        self.ask_what_leads_to_it(cx).await?;
        cx.log.info(format!(
            "{}{} answers {}",
            self.0.url, healthy.path, healthy.status
        ));
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}

impl CheckSite {
    /// Asks for what only leads to it; under a wildcard, for some name.
    async fn ask_what_leads_to_it(&self, cx: &Cx) -> anyhow::Result<()> {
        let all = self.0.names.all(&self.0.host);
        for (door, names, to) in self.0.leading(&cx.spoke)? {
            let wanted = format!("{to}/");
            let judge = |answer: &Answer| {
                let to = answer.location.as_deref().unwrap_or_default();
                anyhow::ensure!(
                    answer.status == REDIRECT && to == wanted,
                    "the answer is {} {to} instead of {REDIRECT} {wanted}",
                    answer.status,
                );
                Ok(())
            };
            for name in names {
                let asked: HostName = name.as_str().replacen('*', "x", 1).parse()?;
                // Below a wildcard that name may do something else.
                if name.below().is_none() || !all.contains(&asked.clone().into()) {
                    let nginx = &cx.spoke.nginx;
                    nginx.check_door(cx, door, &asked, "/", judge).await?;
                }
            }
        }
        Ok(())
    }

    /// Asks until the answer is a healthy one.
    async fn ask(&self, cx: &Cx) -> anyhow::Result<()> {
        let healthy = &self.0.profile.manifest.healthy;
        let judge = |answer: &Answer| {
            let to = answer.location.as_deref().unwrap_or_default();
            if self.0.imported {
                // What is in its pages, and where they lead, is its own.
                anyhow::ensure!(
                    (200..400).contains(&answer.status),
                    "the answer is {}",
                    answer.status
                );
                return Ok(());
            }
            anyhow::ensure!(
                answer.status == healthy.status,
                "the answer is {} {to} instead of {}{}",
                answer.status,
                healthy.status,
                words(&answer.body)
            );
            if let Some(text) = &healthy.text {
                anyhow::ensure!(
                    answer.body.contains(text.as_str()),
                    "the page lacks {text:?}, which a working site of this kind has"
                );
            }
            Ok(())
        };
        let nginx = &cx.spoke.nginx;
        for door in self.0.doors(&cx.spoke) {
            nginx
                .check_door(cx, door, self.0.main(), &healthy.path, judge)
                .await?;
        }
        Ok(())
    }
}

/// What a page says that is but one line: settings that cannot be used say why.
fn words(page: &str) -> String {
    let line = page.trim();
    let is_plain = |c: char| c.is_ascii_graphic() && c != '<' || c == ' ';
    match (1..=200).contains(&line.len()) && line.chars().all(is_plain) {
        true => format!(": {line}"),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_line_of_text_is_told_and_a_page_is_not() {
        assert_eq!(words("It cannot.\n"), ": It cannot.");
        for page in ["", "<p>It", "one\ntwo", "\u{1b}[2J", &"x".repeat(201)] {
            assert_eq!(words(page), "");
        }
    }
}
