//! What the tests of backups share: a system to make some in, and restic alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{cheapen, clear, repository};
use serde_json::{Value, json};

use super::far::Far;

/// A hub, a worker and a place to restore to by hand.
pub struct Scene {
    pub stack: Stack,
    pub hub: Hub,
    pub worker: Worker,
    pub restored: PathBuf,
    /// The bucket in which the backups are, where they are in one. What is done with plain restic is done with a copy.
    pub bucket: Option<(Far, String)>,
}

/// Puts an empty repository there, whose key costs nothing: what most tests are about is what comes into it.
pub fn put_repository(stack: &Stack) {
    static EMPTY: OnceLock<PathBuf> = OnceLock::new();
    let run = |command: &mut Command| {
        let done = command.output().expect("it runs");
        assert!(done.status.success(), "{command:?}: {done:?}");
    };
    let there = repository(stack, SERVER);
    let empty = EMPTY.get_or_init(|| {
        let empty = PathBuf::from(stack.text("/dir")).join("empty-repository");
        std::fs::remove_dir_all(&empty).ok();
        let password = there.parent().and_then(Path::parent).expect("above");
        let password = password.join("backup-password");
        let mut init = Command::new("/usr/bin/restic");
        init.args(["--no-cache", "init", "--password-file"])
            .arg(&password);
        run(init.arg("-r").arg(&empty));
        kolga_tests::cheap_key::cheapen(&empty, &password);
        empty
    });
    run(Command::new("/bin/cp").arg("-a").arg(empty).arg(&there));
    let user = stack.text("/user");
    run(Command::new("/bin/chown")
        .arg("-R")
        .arg(format!("{user}:"))
        .arg(&there));
}

impl Scene {
    /// On a spoke that keeps no trash.
    pub async fn new(name: &str) -> Self {
        Self::with_trash(name, 0).await
    }

    /// On one that keeps it for so many days.
    pub async fn with_trash(name: &str, days: i64) -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        put_repository(&stack);
        Self::on(
            name,
            stack.with_setting(SERVER, "trash", "keep_days", days.into()),
        )
        .await
    }

    /// On one that has no repository yet.
    pub async fn without_repository(name: &str) -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        Self::on(
            name,
            stack.with_setting(SERVER, "trash", "keep_days", 0.into()),
        )
        .await
    }

    /// On a spoke of this stack, which has been cleared.
    pub async fn on(name: &str, stack: Stack) -> Self {
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
        let restored = PathBuf::from(stack.text("/dir")).join(format!("restored-{name}"));
        std::fs::remove_dir_all(&restored).ok();
        Self {
            stack,
            hub,
            worker,
            restored,
            bucket: None,
        }
    }

    pub async fn install(&self, host: &str, profile: &str) -> PathBuf {
        let task = self.hub.install(SERVER, host, profile, None).await;
        self.hub.succeeds(&task).await;
        self.stack.spoke(SERVER, "sites_root").join(host)
    }

    pub async fn backup(&self, host: &str) -> Value {
        let body = json!({"kind": "site.backup", "params": {}});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        let task = self.hub.ask(&request).await;
        let ended = self.hub.ended(&task).await;
        if ended["state"] == "succeeded" {
            self.mirror(true);
            cheapen(&self.stack, SERVER);
            self.mirror(false);
        }
        ended
    }

    /// The name of a backup that succeeded.
    pub async fn backed_up(&self, host: &str) -> String {
        let ended = self.backup(host).await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        ended["output"]["backup"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// Brings the bucket here, or what is here into the bucket.
    fn mirror(&self, here: bool) {
        let Some((far, bucket)) = &self.bucket else {
            return;
        };
        let (there, own) = (format!(":s3:{bucket}"), repository(&self.stack, SERVER));
        let own = own.to_str().expect("text");
        match here {
            true => far.mirror(&there, own),
            false => far.mirror(own, &there),
        }
    }

    /// restic alone, as an operator uses it who has no Kolga any more.
    pub fn restic(&self, args: &[&str]) -> String {
        self.mirror(true);
        let repository = repository(&self.stack, SERVER);
        let password = repository.parent().and_then(Path::parent).expect("above");
        let done = Command::new("/usr/bin/restic")
            .arg("--password-file")
            .arg(password.join("backup-password"))
            .args(["--no-cache", "--no-lock", "-r"])
            .arg(&repository)
            .args(args)
            .output()
            .expect("restic runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{args:?}: {said}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    pub fn restore(&self, id: &str) {
        std::fs::remove_dir_all(&self.restored).ok();
        let target = self.restored.to_str().expect("text");
        self.restic(&["restore", id, "--verify", "--target", target]);
    }

    pub async fn end(self, hosts: &[&str]) {
        for host in hosts {
            self.hub.delete(host).await;
        }
        self.worker.stop().await;
        std::fs::remove_dir_all(&self.restored).ok();
        drop(std::fs::remove_dir_all(repository(&self.stack, SERVER)));
    }
}
