//! A headless Chromium: what it shows, what a script in the page finds, what its console said, and a picture.
//!
//! Driven over WebDriver through Debian's chromedriver, as the services' user. Both live in a process namespace of their
//! own, which the kernel ends with the test. Used by [`crate::judge`] and the tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kolga_tests::stack::Stack;
use serde_json::{Value, json};

const DRIVER: &str = "/usr/bin/chromedriver";
const CHROMIUM: &str = "/usr/bin/chromium";
/// What the driver says before the number of the port that it has chosen.
const READY: &str = "was started successfully on port ";

/// A browser with one window.
pub struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
}

impl Browser {
    /// Starts one for which all names below `kolga.test` are this machine.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(stack: &Stack) -> Self {
        let home = Path::new(stack.text("/dir")).join("browser");
        drop(std::fs::remove_dir_all(&home));
        std::fs::create_dir(&home).expect("a folder");
        let uid = stack.uid();
        std::os::unix::fs::chown(&home, Some(uid), Some(uid)).expect("given away");
        let mut driver = alone(stack.program(DRIVER))
            .arg("--port=0")
            .env("HOME", &home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare runs");
        let said = BufReader::new(driver.stdout.take().expect("a pipe"));
        let mut lines = said.lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once(READY)?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver runs: deploy/packages browser");
        let client = reqwest::Client::new();
        let options = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments(&home)},
        });
        let url = format!("http://127.0.0.1:{port}/session");
        let wish = json!({"capabilities": {"alwaysMatch": options}});
        let made = answer(client.post(&url).json(&wish)).await;
        let id = made["sessionId"].as_str().expect("a session");
        Self {
            driver,
            session: format!("{url}/{id}"),
            client,
        }
    }

    /// Goes to a page and waits until all of it is there.
    pub async fn open(&self, url: &str) {
        self.post("url", json!({"url": url})).await;
    }

    /// What a script in the page returns.
    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        let script = json!({"script": script, "args": arguments});
        self.post("execute/sync", script).await
    }

    /// What one hands to the function that is its last argument.
    pub async fn run_async(&self, script: &str, arguments: Value) -> Value {
        let script = json!({"script": script, "args": arguments});
        self.post("execute/async", script).await
    }

    /// What the console was told since it was asked last: the level and the text of each line.
    ///
    /// # Panics
    /// When the answer is another one than WebDriver's.
    pub async fn console(&self) -> Vec<(String, String)> {
        let lines = self.post("se/log", json!({"type": "browser"})).await;
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let lines = lines.as_array().expect("a list").iter();
        lines
            .map(|line| (text(line, "level"), text(line, "message")))
            .collect()
    }

    /// What the window shows, as a PNG in base64.
    ///
    /// # Panics
    /// When there is none.
    pub async fn picture(&self) -> String {
        let asked = self.client.get(format!("{}/screenshot", self.session));
        let picture = answer(asked).await;
        picture.as_str().expect("a picture").to_owned()
    }

    /// As if it had never been anywhere.
    pub async fn forget_cookies(&self) {
        let asked = self.client.delete(format!("{}/cookie", self.session));
        answer(asked).await;
    }

    async fn post(&self, what: &str, body: Value) -> Value {
        let asked = self.client.post(format!("{}/{what}", self.session));
        answer(asked.json(&body)).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// The same command in a process namespace, with which all that it starts ends.
fn alone(command: Command) -> Command {
    let mut alone = Command::new("/usr/bin/unshare");
    alone.args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]);
    alone.arg(command.get_program()).args(command.get_args());
    alone
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    alone
}

fn arguments(home: &Path) -> Vec<String> {
    let fixed = [
        "--headless=new",
        "--window-size=1280,900",
        "--hide-scrollbars",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        // It looks at nothing but our own pages, and where this runs its own sandbox may not be had.
        "--no-sandbox",
        "--no-first-run",
        // It asks nobody but who is asked for.
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP *.kolga.test 127.0.0.1",
    ];
    let folder = format!("--user-data-dir={}", home.join("profile").display());
    let fixed = fixed.into_iter().map(str::to_owned);
    fixed.chain([folder]).collect()
}

async fn answer(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("the driver answers");
    let status = answer.status();
    let said: Value = answer.json().await.expect("JSON");
    assert!(status.is_success(), "{status}: {said:#}");
    said["value"].clone()
}

/// Writes a picture to a file.
///
/// # Panics
/// When it cannot.
pub fn save(picture: &str, path: &Path) {
    let file = std::fs::File::create(path).expect("a file");
    let mut decoder = Command::new("/usr/bin/base64")
        .arg("--decode")
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .expect("base64 runs");
    let mut input = decoder.stdin.take().expect("a pipe");
    input.write_all(picture.as_bytes()).expect("written");
    drop(input);
    assert!(decoder.wait().expect("it ends").success());
}
