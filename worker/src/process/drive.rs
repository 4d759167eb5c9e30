//! One child from its start to its burial, whatever ends it.

use std::process::{ExitStatus, Stdio};

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;

use super::ended::Ended;
use super::output::{self, Sink};
use super::tree::Tree;
use super::{Command, DRAIN, GRACE, Input, LEFTOVER_GRACE, MARK, PATH};
use crate::cx::Cx;

impl Command {
    pub(super) async fn drive(
        self,
        cx: &Cx,
        stdout: &mut impl Sink,
        stderr: &mut impl Sink,
    ) -> anyhow::Result<ExitStatus> {
        cx.stop.check()?;
        let shown = self.program.display().to_string();
        anyhow::ensure!(
            self.program.is_absolute(),
            "{shown} is not the absolute path of a program"
        );
        let cannot = || format!("cannot start {shown}: is it installed, and may it be run?");
        let (stdin, bytes) = match self.stdin {
            Input::Nothing => (Stdio::null(), None),
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::File(file) => (file.into(), None),
        };
        let supervision = &cx.spoke.supervision;
        let leaf = supervision.leaf(cx.run)?;
        let process = &cx.spoke.config.process;
        let mut command = supervision
            .command(
                &self.program,
                leaf.as_ref(),
                self.confinement.as_ref(),
                process,
            )
            .with_context(cannot)?;
        command
            .args(&self.args)
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env("HOME", &cx.spoke.config.state_dir)
            .envs(self.env)
            .env(MARK, cx.run.to_string())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut tree = Tree::spawn(&mut command, cx.run, leaf).with_context(cannot)?;

        let feed = feed(tree.child.stdin.take(), bytes);
        let out = output::pump(tree.child.stdout.take(), stdout);
        let err = output::pump(tree.child.stderr.take(), stderr);
        let mut streams = std::pin::pin!(async { tokio::join!(feed, out, err) });
        let mut streams_ended = false;

        let mut stopping = None;
        let mut ended = Ended::of(&tree.leader);
        let time_limit = tokio::time::sleep(self.time_limit);
        tokio::pin!(time_limit);
        loop {
            tokio::select! {
                exit = ended.wait() => { exit?; break }
                _ = &mut streams, if !streams_ended => streams_ended = true,
                () = cx.stop.wanted(), if stopping.is_none() => {
                    stopping = Some(Why::Stopped);
                    break;
                }
                () = &mut time_limit => {
                    stopping = Some(Why::TimedOut);
                    break;
                }
            }
        }
        // The leader stays unburied until its group is empty, so that its number cannot be given to a
        // stranger in between. Output goes on being read meanwhile: a full pipe must not outlast a TERM.
        let grace = match stopping {
            Some(_) => GRACE,
            None => {
                if !streams_ended {
                    streams_ended = tokio::time::timeout(DRAIN, &mut streams).await.is_ok();
                }
                LEFTOVER_GRACE
            }
        };
        {
            let mut end = std::pin::pin!(tree.end(grace));
            loop {
                tokio::select! {
                    result = &mut end => {
                        result.with_context(|| format!("{shown} could not be ended"))?;
                        break;
                    }
                    _ = &mut streams, if !streams_ended => streams_ended = true,
                }
            }
        }
        if !streams_ended {
            drop(tokio::time::timeout(DRAIN, &mut streams).await);
        }
        let status = tree.bury().await?;
        match stopping {
            None => Ok(status),
            Some(Why::Stopped) => {
                cx.stop
                    .check()
                    .with_context(|| format!("{shown} was ended"))?;
                Ok(status)
            }
            Some(Why::TimedOut) => anyhow::bail!(
                "{shown} took longer than the {} s that it may, and was ended",
                self.time_limit.as_secs_f32()
            ),
        }
    }
}

enum Why {
    Stopped,
    TimedOut,
}

/// Writes what the program reads, then closes. A program that does not want it all is no fault.
async fn feed(pipe: Option<ChildStdin>, bytes: Option<Vec<u8>>) {
    if let (Some(mut pipe), Some(bytes)) = (pipe, bytes) {
        drop(pipe.write_all(&bytes).await);
        drop(pipe.shutdown().await);
    }
}
