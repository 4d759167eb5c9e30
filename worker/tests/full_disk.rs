//! A full disk: what cannot be written is refused with the reason, and as soon as there is room again the
//! same journal goes on, without a restart.

use std::path::{Path, PathBuf};
use std::process::Command;

use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::TaskMessage;
use kolga_protocol::task::{Params, ping};
use kolga_worker::journal::{
    Change, Entry, Incoming, Journal, JournalError, Place, Reader, StepRow,
};

/// A file system of two megabytes, which only root can make.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kolga-small-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).expect("a folder");
        let mounted = Command::new("/bin/mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&path)
            .status()
            .expect("mount runs");
        assert!(mounted.success(), "root can mount a tmpfs");
        Self(path)
    }

    /// Leaves no byte free.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut size = 2 * 1024 * 1024;
        while size > 0 {
            if std::fs::write(&filler, vec![0; size]).is_ok() {
                break;
            }
            size -= 4096;
        }
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("/bin/umount").arg("-l").arg(&self.0).status());
        drop(std::fs::remove_dir(&self.0));
    }
}

async fn open(path: &Path) -> Journal {
    let server = "web1".parse().expect("a name");
    Journal::open(path, &server).await.expect("a journal").0
}

fn step(position: u16) -> StepRow {
    StepRow {
        place: Place {
            position,
            total: 200,
            name: "a_step".to_owned(),
        },
        record: serde_json::json!({ "much": "x".repeat(16 * 1024) }),
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_journal_on_a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let disk = SmallDisk::new();
    let path = disk.0.join("journal.sqlite");
    let journal = open(&path).await;
    let run = Run::new(TaskId::generate(), Attempt::FIRST);
    let message = TaskMessage {
        run,
        server: "web1".parse().expect("a name"),
        issued_at: UnixMillis::now(),
        expires_at: None,
        requested_by: "a test".to_owned(),
        payload: Params::Ping(ping::Params {}).to_payload(),
    };
    let incoming = Incoming {
        message,
        refusal: None,
    };
    journal.accept(vec![incoming]).await.expect("accepted");

    let filler = disk.fill();
    let mut refused = 0;
    let mut position = 0;
    while refused < 5 {
        position += 1;
        assert!(position < 200, "the disk is never full");
        // Two at once, so that one of them waits in the batch when the other fails.
        let commits = [position * 2, position * 2 + 1].map(|position| {
            let changes = vec![Change::Intent(step(position))];
            journal.enter(Entry { run, changes })
        });
        for commit in commits {
            match commit.durable().await {
                Ok(()) => {}
                Err(JournalError::Database(_)) => refused += 1,
                Err(other) => panic!("not the reason: {other}"),
            }
        }
    }
    println!("writes refused by the full disk: {refused}");

    std::fs::remove_file(filler).expect("removed");
    let changes = vec![Change::Intent(step(1))];
    let entered = journal.enter(Entry { run, changes }).durable().await;
    entered.expect("there is room again");
    let live = Reader::open(&path).await.expect("a reader").live().await;
    let live = live.expect("readable");
    assert!(
        live[0]
            .steps
            .iter()
            .any(|step| step.row.place.position == 1)
    );
}
