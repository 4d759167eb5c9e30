//! Asking nginx for a site the way a browser would, at the address where the worker reaches it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::names::HostName;
use tokio::time::Instant;

use super::Nginx;
use super::workers::Workers;
use crate::cx::Cx;
use crate::services::tls;

/// How long a site may take until it answers rightly: nginx reloads behind our back, and a first page of
/// an application may be slow.
const PATIENCE: Duration = Duration::from_secs(10);
const ONE_TRY: Duration = Duration::from_secs(10);
/// Below it no name is ever anybody's (RFC 2606).
const NOBODY: &str = "invalid";
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: usize = 1024 * 1024;

/// The way on which a site is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Over HTTP, where the configuration says that nginx is reached.
    Http,
    /// Over TLS, there.
    Https(SocketAddr),
}

impl Door {
    /// How addresses begin that lead there.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https(_) => "https",
        }
    }
}

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
    /// Asks for `path` of the site over HTTP until `judge` is content, for about ten seconds.
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
        self.check_door(cx, Door::Http, host, path, judge).await
    }

    /// Whether nginx answers to this name otherwise than to one that nobody has: it has a file for it then. Asked again
    /// before it is denied where nginx has just been reloaded, since an old worker of its may have answered.
    ///
    /// # Errors
    /// When nothing can be asked, or the task should stop.
    pub async fn answers_to(&self, cx: &Cx, host: &HostName) -> anyhow::Result<bool> {
        let workers = Workers::now(&self.config.pid_file);
        if self.answers_now(host).await? {
            return Ok(true);
        }
        cx.stop.check()?;
        if !workers.settled().await {
            return Ok(false);
        }
        self.answers_now(host).await
    }

    async fn answers_now(&self, host: &HostName) -> anyhow::Result<bool> {
        let nobody: HostName = format!("{}.{NOBODY}", uuid::Uuid::now_v7().simple()).parse()?;
        let (one, other) = (self.once(host).await, self.once(&nobody).await);
        Ok(match (one, other) {
            (Ok(one), Ok(other)) => {
                // A page may tell the name that it was asked under.
                let plain = |text: &str, name: &HostName| text.replace(name.as_str(), "");
                let told = |answer: &Answer, name| {
                    let to = answer.location.as_deref().map(|to| plain(to, name));
                    (answer.status, to, plain(&answer.body, name))
                };
                told(&one, host) != told(&other, &nobody)
            }
            (one, other) => one.is_ok() != other.is_ok(),
        })
    }

    async fn once(&self, host: &HostName) -> anyhow::Result<Answer> {
        let address = self.config().check_address;
        let client = client(host, address)?;
        ask(&client, &format!("http://{host}:{}/", address.port())).await
    }

    /// As [`Nginx::check_site`], on one way or the other. That a certificate is good is not looked at here.
    ///
    /// # Errors
    /// What `judge` said last, or why there was no answer; or that the task should stop.
    pub async fn check_door(
        &self,
        cx: &Cx,
        door: Door,
        host: &HostName,
        path: &str,
        judge: impl Fn(&Answer) -> anyhow::Result<()> + Send + Sync,
    ) -> anyhow::Result<Answer> {
        let address = match door {
            Door::Http => self.config().check_address,
            Door::Https(address) => address,
        };
        let client = client(host, address)?;
        let at = format!("{host}:{}", address.port());
        let url = format!("{}://{at}{path}", door.scheme());
        let give_up = Instant::now() + PATIENCE;
        loop {
            cx.stop.check()?;
            let asked = async {
                let answer = match door {
                    Door::Http => ask(&client, &url).await?,
                    Door::Https(address) => ask_over_tls(cx, address, host, &at, path).await?,
                };
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

fn client(host: &HostName, address: SocketAddr) -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .resolve(host.as_str(), address)
        .timeout(ONE_TRY)
        .pool_max_idle_per_host(0)
        .build()?)
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

/// One request and its answer, which ends with the connection.
async fn ask_over_tls(
    cx: &Cx,
    address: SocketAddr,
    host: &HostName,
    at: &str,
    path: &str,
) -> anyhow::Result<Answer> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let bytes = tls::exchange(cx, address, host, request).await?;
    read(&String::from_utf8_lossy(&bytes)).context("what nginx says over TLS is no answer")
}

/// An answer of HTTP/1 that comes whole.
fn read(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let location = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("location"))
        .map(|(_, value)| value.trim().to_owned());
    Some(Answer {
        status,
        location,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_where_it_leads() {
        let text = "HTTP/1.1 301 Moved\r\nServer: nginx\r\nlocation: https://a.org/\r\n\r\nbody\r\n\r\nof it";
        let answer = read(text).expect("an answer");
        assert_eq!(answer.status, 301);
        assert_eq!(answer.location.as_deref(), Some("https://a.org/"));
        assert_eq!(answer.body, "body\r\n\r\nof it");
        for bad in ["", "HTTP/1.1", "HTTP/1.1 200 OK\r\n", "x y z\r\n\r\n"] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
    }
}
