//! The hub's API as a client that bears a hub which comes and goes.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(15);

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    /// The hub did it.
    Done(Value),
    /// The hub said no: nothing was done.
    Refused,
    /// Nobody can say: the hub may have done it.
    Unknown,
}

/// A client.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    url: String,
    token: PathBuf,
}

impl Api {
    pub fn new(listen: &str, token: PathBuf) -> anyhow::Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().timeout(REQUEST).build()?,
            url: format!("http://{listen}"),
            token,
        })
    }

    /// Asks once.
    pub async fn ask(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Answer {
        let token = std::fs::read_to_string(&self.token).unwrap_or_default();
        let url = format!("{}{path}", self.url);
        let mut request = self.client.request(method, url).bearer_auth(token.trim());
        if let Some(body) = body {
            request = request.json(body);
        }
        let Ok(answer) = request.send().await else {
            return Answer::Unknown;
        };
        let status = answer.status();
        match answer.json().await {
            Ok(value) if status.is_success() => Answer::Done(value),
            // 5xx: the store may have done it and failed to say so.
            Ok(_) if status.is_client_error() => Answer::Refused,
            _ => Answer::Unknown,
        }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(reqwest::Method::POST, path, Some(body)).await
    }

    /// Reads, as often as it takes; nothing where there is nothing.
    pub async fn find(&self, path: &str) -> Option<Value> {
        loop {
            match self.ask(reqwest::Method::GET, path, None).await {
                Answer::Done(value) => return Some(value),
                Answer::Refused => return None,
                Answer::Unknown => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// The items of a list, page by page.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut before = String::new();
        let join = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = self.find(&format!("{path}{join}limit=1000{before}")).await;
            let page = page.unwrap_or_default();
            all.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => return all,
            }
        }
    }

    /// Waits until the hub answers at all.
    pub async fn wait(&self, limit: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let health = self.ask(reqwest::Method::GET, "/v1/health", None).await;
            if matches!(health, Answer::Done(_)) && self.token.exists() {
                return Ok(());
            }
            anyhow::ensure!(began.elapsed() < limit, "the hub does not answer");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing more happens to a task by itself; the task.
    pub async fn finished(&self, task: &str, limit: Duration) -> Option<Value> {
        let began = Instant::now();
        loop {
            let shown = self.find(&format!("/v1/tasks/{task}")).await?;
            if shown["finished"] == true {
                return Some(shown);
            }
            if began.elapsed() > limit {
                return None;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks for one ping until the hub takes it; its id.
    pub async fn ping(&self, server: &str) -> String {
        loop {
            let path = format!("/v1/servers/{server}/ping");
            if let Answer::Done(made) = self.post(&path, &json!({"count": 1})).await
                && let Some(id) = made["tasks"][0].as_str()
            {
                return id.to_owned();
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}
