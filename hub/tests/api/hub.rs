//! A hub of one test, in a folder of its own, on a port of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kolga_hub::config::{Broker, Config, Retention, Store, Tasks};
use kolga_hub::serve::Hub;
use kolga_protocol::topology::QueueType;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// A folder that goes when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kolga-api-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder for a test");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

pub fn config(folder: &Path) -> Config {
    Config {
        state_dir: folder.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        store: Store::default(),
        broker: Broker {
            // Nobody listens on port 1.
            url: "amqp://kolga-hub:none@127.0.0.1:1/kolga".to_owned(),
            queue_type: QueueType::Classic,
        },
        tasks: Tasks::default(),
        retention: Retention::default(),
    }
}

pub struct TestHub {
    hub: Hub,
    client: reqwest::Client,
    pub token: String,
    _own: Option<Folder>,
}

impl TestHub {
    pub async fn start() -> Self {
        let folder = Folder::new();
        let mut hub = Self::start_in(&folder).await;
        hub._own = Some(folder);
        hub
    }

    pub async fn start_in(folder: &Folder) -> Self {
        let hub = Hub::start(config(folder.path()))
            .await
            .expect("the hub starts");
        let token = std::fs::read_to_string(folder.path().join("api-token")).expect("a token");
        Self {
            hub,
            client: reqwest::Client::new(),
            token: token.trim().to_owned(),
            _own: None,
        }
    }

    pub async fn end(self) {
        self.hub.stop().await;
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.hub.address)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, self.url(path))
            .bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Value {
        good(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        good(self.request(Method::POST, path).json(&body)).await
    }
}

async fn good(request: RequestBuilder) -> Value {
    let response = request.send().await.expect("answered");
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    assert!(status.is_success(), "{status}: {body}");
    body
}
