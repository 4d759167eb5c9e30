//! HTTP to the hub: requests with the token, answers as types of `wire`, everything else as `Trouble`.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Global;
use super::trouble::Trouble;
use crate::wire::{self, Health};

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(60);

/// What a live stream may stay silent for: the hub sends a sign of life more often than that.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// A hub, and the right to speak to it.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    hub: String,
    token: Option<String>,
    user: String,
}

impl Client {
    /// A client with the token from its file.
    pub(super) async fn connect(global: &Global) -> Result<Self, Trouble> {
        let mut client = Self::without_token(global)?;
        match token(&global.token_file) {
            Ok(token) => client.token = Some(token),
            Err(trouble) => {
                // Where there is no hub at all, that is what the operator should hear of first.
                client.health().await?;
                return Err(trouble);
            }
        }
        Ok(client)
    }

    /// A client that may ask for nothing but the hub's health.
    pub(super) fn without_token(global: &Global) -> Result<Self, Trouble> {
        let http = reqwest::Client::builder()
            // The token is for the hub, and for no proxy that the environment may name.
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .tcp_nodelay(true)
            .user_agent(concat!("kolga/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Trouble::Io(std::io::Error::other(error)))?;
        Ok(Self {
            http,
            hub: global.hub.clone(),
            token: None,
            user: global
                .user
                .iter()
                .flat_map(|user| user.chars())
                .filter(char::is_ascii_graphic)
                .collect(),
        })
    }

    /// `GET /v1/health`
    pub(super) async fn health(&self) -> Result<Health, Trouble> {
        self.get("/v1/health", &[]).await
    }

    /// An answer to a question.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Trouble> {
        let request = self.request(Method::GET, path).query(query);
        self.read(request.timeout(ANSWER)).await
    }

    /// An answer that is text.
    pub(super) async fn text(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<String, Trouble> {
        let request = self.request(Method::GET, path).query(query);
        let answer = self.send(request.timeout(ANSWER)).await?;
        answer.text().await.map_err(|e| self.unreachable(&e))
    }

    /// The answer to a wish that has a body.
    pub(super) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Trouble> {
        let request = self.request(Method::POST, path).json(body);
        self.read(request.timeout(ANSWER)).await
    }

    /// The answer to a wish that its path says whole.
    pub(super) async fn act<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
    ) -> Result<T, Trouble> {
        self.read(self.request(method, path).timeout(ANSWER)).await
    }

    /// An open stream of events, from its beginning or after an event that was seen already.
    pub(super) async fn stream(
        &self,
        path: &str,
        after: Option<&str>,
    ) -> Result<Response, Trouble> {
        let mut request = self
            .request(Method::GET, path)
            .header("Accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        self.send(request).await
    }

    /// Nothing that is a hub is there, or is there any more.
    pub(super) fn unreachable(&self, reason: &dyn std::error::Error) -> Trouble {
        Trouble::Unreachable {
            hub: self.hub.clone(),
            reason: innermost(reason),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.hub));
        if !self.user.is_empty() {
            request = request.header("Kolga-User", &self.user);
        }
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Trouble> {
        let answer = self.send(request).await?;
        let body = answer.bytes().await.map_err(|e| self.unreachable(&e))?;
        serde_json::from_slice(&body).map_err(|error| self.foreign(&error.to_string()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Trouble> {
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.map_err(|e| self.unreachable(&e))?;
        match serde_json::from_slice::<wire::ErrorBody>(&body) {
            Ok(body) => Err(refused(status, body.error)),
            Err(_) => Err(self.foreign(&format!("it answered {status}"))),
        }
    }

    fn foreign(&self, what: &str) -> Trouble {
        Trouble::Unreachable {
            hub: self.hub.clone(),
            reason: format!("what answers there does not speak as a hub of this release ({what})"),
        }
    }
}

fn refused(status: StatusCode, mut error: wire::Error) -> Trouble {
    if status == StatusCode::UNAUTHORIZED {
        error.hint = Some(
            "Give the file that this hub wrote its token to (--token-file, KOLGA_TOKEN_FILE): \
             `api-token` in the `state_dir` of its configuration."
                .to_owned(),
        );
    }
    Trouble::Refused { error }
}

fn token(file: &Path) -> Result<String, Trouble> {
    let usage = |problem: String| Trouble::Usage {
        message: format!("the hub's token in {} {problem}", file.display()),
        hint:
            "It is `api-token` in the hub's `state_dir`, readable by its owner alone. Name it with \
               --token-file or KOLGA_TOKEN_FILE, and run this as a user that may read it."
                .to_owned(),
    };
    let text =
        std::fs::read_to_string(file).map_err(|error| usage(format!("cannot be read: {error}")))?;
    let token = text.trim();
    // What cannot stand in a header is no token of ours.
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(usage("is not a token".to_owned()));
    }
    Ok(token.to_owned())
}

/// The cause that tells most: reqwest's own sentences name only the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Parses `--hub`.
pub(super) fn hub_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; write it as http://HOST:PORT"))?;
    match url.scheme() {
        "http" if url.has_host() => Ok(text.trim_end_matches('/').to_owned()),
        "https" => Err(
            "this program speaks http only; to reach a hub on another machine open a tunnel, \
             such as `ssh -L 7480:127.0.0.1:7480 HOST`"
                .to_owned(),
        ),
        _ => Err("write it as http://HOST:PORT".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::hub_url;

    #[test]
    fn a_hub_is_an_http_address() {
        assert_eq!(
            hub_url("http://127.0.0.1:7480/"),
            Ok("http://127.0.0.1:7480".to_owned())
        );
        assert!(hub_url("127.0.0.1:7480").is_err());
        assert!(hub_url("https://hub.example.org").is_err_and(|e| e.contains("ssh -L")));
    }
}
