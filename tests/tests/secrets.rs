//! Passwords that are made on a spoke stay there: no command line, no environment, no log, no queue and no
//! database of the hub ever shows one.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use kolga_tests::hub::{Hub, Settings, broker};
use kolga_tests::scenario::{SERVER, platform};
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker, command};
use kolga_tests::world::clear;

const HOST: &str = "blog.kolga.test";

/// Everything that /proc showed of any process while it watched.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<BTreeSet<Vec<u8>>>,
}

impl Watcher {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !told.load(Ordering::Relaxed) {
                for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
                    for file in ["cmdline", "environ"] {
                        if let Ok(bytes) = std::fs::read(process.path().join(file)) {
                            seen.insert(bytes);
                        }
                    }
                }
            }
            seen
        });
        Self { stop, thread }
    }

    fn stop(self) -> BTreeSet<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watcher ends")
    }
}

/// A secret and the shapes in which it could slip out.
fn shapes(secret: &str) -> Vec<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut shapes = vec![secret.as_bytes().to_vec(), hex.into_bytes()];
    // In base64 a text looks different by its place in a group of three: all three places, without the
    // characters that its neighbours have a part in.
    for skip in 0..3 {
        let bytes = &secret.as_bytes()[skip..];
        let whole = bytes.len() / 3 * 3;
        let text: Vec<u8> = bytes[..whole]
            .chunks(3)
            .flat_map(|three| {
                let bits = three
                    .iter()
                    .fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
                [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize])
            })
            .collect();
        shapes.push(text);
    }
    shapes
}

fn shows(bytes: &[u8], secrets: &[Vec<u8>]) -> bool {
    secrets.iter().any(|secret| {
        bytes
            .windows(secret.len())
            .any(|window| window == secret.as_slice())
    })
}

/// Every file below a folder that holds a secret.
fn holders(path: &Path, secrets: &[Vec<u8>], found: &mut Vec<std::path::PathBuf>) {
    let Ok(kind) = std::fs::symlink_metadata(path).map(|metadata| metadata.file_type()) else {
        return;
    };
    if kind.is_dir() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            holders(&entry.path(), secrets, found);
        }
    } else if kind.is_file() && shows(&std::fs::read(path).unwrap_or_default(), secrets) {
        found.push(path.to_owned());
    }
}

/// Takes a copy of every report from here on.
async fn tap(stack: &Stack) -> (lapin::Connection, lapin::Consumer) {
    use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
    use lapin::types::FieldTable;
    let connection = broker(stack).await;
    let channel = connection.create_channel().await.expect("a channel");
    let queue = channel
        .queue_declare(
            "".into(),
            QueueDeclareOptions {
                exclusive: true,
                ..Default::default()
            },
            FieldTable::default(),
        )
        .await
        .expect("a queue");
    for exchange in ["kolga.reports", "kolga.heartbeats"] {
        channel
            .queue_bind(
                queue.name().clone(),
                exchange.into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .expect("bound");
    }
    let options = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let consumer = channel
        .basic_consume(
            queue.name().clone(),
            "tap".into(),
            options,
            FieldTable::default(),
        )
        .await
        .expect("consumed");
    (connection, consumer)
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn nobody_sees_a_password_during_an_installation() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    platform(&hub).await;
    let (_connection, mut tapped) = tap(&stack).await;
    let watcher = Watcher::start();
    let task = hub.install(SERVER, HOST, "wordpress", Some("wp")).await;
    let shown = hub.succeeds(&task).await;
    let seen = watcher.stop();

    let told = command(&stack, SERVER, &["secret", "show", HOST]);
    assert!(told.status.success(), "{told:?}");
    let kept: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let mut passwords = vec![
        kept["database_password"]
            .as_str()
            .expect("a password")
            .to_owned(),
    ];
    let values = kept["values"].as_object().expect("the profile's secrets");
    passwords.extend(
        values
            .values()
            .map(|value| value.as_str().expect("a secret").to_owned()),
    );
    assert!(
        passwords.len() >= 2 && passwords.iter().all(|p| p.len() >= 24),
        "{} secrets",
        passwords.len()
    );
    let secrets: Vec<Vec<u8>> = passwords.iter().flat_map(|secret| shapes(secret)).collect();
    // The test itself could see one if it were there.
    assert!(shows(&told.stdout, &secrets));

    println!("command lines and environments seen: {}", seen.len());
    assert!(
        seen.iter()
            .any(|bytes| bytes.windows(3).any(|window| window == b"php")),
        "it saw the installer"
    );
    for bytes in &seen {
        assert!(
            !shows(bytes, &secrets),
            "/proc: {}",
            String::from_utf8_lossy(bytes)
        );
    }
    let mut reports = 0;
    while let Ok(Some(Ok(message))) =
        tokio::time::timeout(std::time::Duration::from_millis(500), tapped.next()).await
    {
        reports += 1;
        assert!(!shows(&message.data, &secrets), "a message to the hub");
    }
    assert!(reports > 0, "the tap saw what the worker sent");
    assert!(
        !shows(shown.to_string().as_bytes(), &secrets),
        "the task at the hub"
    );
    assert!(
        !shows(hub.log(&task).await.join("\n").as_bytes(), &secrets),
        "the task's log"
    );

    let mut found = Vec::new();
    holders(hub.folder(), &secrets, &mut found);
    assert!(found.is_empty(), "the hub holds it in {found:?}");
    // On the spoke: the secrets' own file, the site's settings, and nothing that others can read.
    holders(
        stack.spoke(SERVER, "config").parent().expect("a folder"),
        &secrets,
        &mut found,
    );
    println!("on the spoke it lies in {found:?}");
    assert!(!found.is_empty());
    for path in found {
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(
            mode & 0o007,
            0,
            "{} can be read by everybody",
            path.display()
        );
        assert!(
            !path.to_string_lossy().contains("journal"),
            "the journal holds a secret"
        );
    }
    worker.stop().await;
}
