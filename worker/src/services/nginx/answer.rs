//! Asking nginx for a site the way a browser would, at the address where the worker reaches it.

use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::names::HostName;
use tokio::time::Instant;

use super::Nginx;
use crate::cx::Cx;

/// How long a site may take until it answers rightly: nginx reloads behind our back, and a first page of
/// an application may be slow.
const PATIENCE: Duration = Duration::from_secs(10);
const ONE_TRY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: usize = 1024 * 1024;

/// What a site answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The first megabyte of the body.
    pub body: String,
}

impl Nginx {
    /// Asks for `path` of the site until `judge` is content, for about ten seconds.
    ///
    /// # Errors
    /// What `judge` said last, or why there was no answer; or that the task should stop.
    pub async fn check_site(
        &self,
        cx: &Cx,
        host: &HostName,
        path: &str,
        judge: impl Fn(&Answer) -> anyhow::Result<()> + Send + Sync,
    ) -> anyhow::Result<Answer> {
        let address = self.config().check_address;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve(host.as_str(), address)
            .timeout(ONE_TRY)
            .pool_max_idle_per_host(0)
            .build()?;
        let url = format!("http://{host}:{}{path}", address.port());
        let give_up = Instant::now() + PATIENCE;
        loop {
            cx.stop.check()?;
            let asked = async {
                let answer = ask(&client, &url).await?;
                judge(&answer)?;
                Ok::<_, anyhow::Error>(answer)
            };
            let error = tokio::select! {
                asked = asked => match asked {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                () = cx.stop.wanted() => continue,
            };
            if Instant::now() >= give_up {
                return Err(error).with_context(|| format!("{url} does not answer as it should"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> anyhow::Result<Answer> {
    let mut response = client
        .get(url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    let status = response.status().as_u16();
    let location = response
        .headers()
        .get("location")
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut body = Vec::new();
    while body.len() < LONGEST {
        let Some(piece) = response
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)?
        else {
            break;
        };
        body.extend_from_slice(&piece);
    }
    body.truncate(LONGEST);
    Ok(Answer {
        status,
        location,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
