//! A command of a recipe with all values in place, as the journal keeps it: undoing needs no recipe, which may be
//! another one by then.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::argv::{self, Argument};
use super::manifest::Step;
use super::values::Values;
use crate::cx::Cx;
use crate::process::{Command, Confinement};

/// How a command becomes another user: what may be run so is the administrator's, in sudoers. The worker's groups
/// are not taken along.
pub(super) const SUDO: &str = "/usr/bin/sudo";

/// What is run, and how. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    argv: Vec<String>,
    /// What it reads.
    #[serde(default)]
    stdin: Option<String>,
    /// As whom, where it is not the worker's own user.
    #[serde(default)]
    user: Option<String>,
    /// The only folder that it can open.
    #[serde(default)]
    within: Option<PathBuf>,
    seconds: u32,
}

impl Call {
    /// A command of this step.
    ///
    /// # Errors
    /// When the values do not make one.
    pub fn new(
        step: &Step,
        command: &[Argument],
        stdin: Option<&Argument>,
        values: &Values,
    ) -> anyhow::Result<Self> {
        let within = step.confined_to_site.then(|| values.site_folder());
        Ok(Self {
            argv: argv::render(command, values)?,
            stdin: stdin.map(|text| text.fill(values)).transpose()?,
            user: step.run_as.clone(),
            within: within.transpose()?.map(PathBuf::from),
            seconds: step.timeout_seconds,
        })
    }

    /// The program, for people.
    #[must_use]
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Runs it, its output going to the task's log.
    ///
    /// # Errors
    /// When it does not end well, and in time.
    pub async fn run(&self, cx: &Cx) -> anyhow::Result<()> {
        self.command()?.run(cx).await
    }

    /// Runs it as a question: 0 is yes, 1 is no.
    ///
    /// # Errors
    /// When it ends in any other way.
    pub async fn holds(&self, cx: &Cx) -> anyhow::Result<bool> {
        let answer = self.command()?.capture(cx).await?;
        match answer.status.code() {
            Some(1) => Ok(false),
            _ => answer.success(self.program()).map(|_said| true),
        }
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut argv = self.argv.clone();
        if let Some(user) = &self.user {
            let first = [SUDO, "-n", "-u", user, "--"].map(str::to_owned);
            argv.splice(0..0, first);
        }
        let mut command =
            Command::from_argv(&argv)?.time_limit(Duration::from_secs(self.seconds.into()));
        if let Some(text) = &self.stdin {
            command = command.stdin(text.clone().into_bytes());
        }
        if let Some(folder) = &self.within {
            let write = vec![folder.clone()];
            let read = Vec::new();
            command = command.dir(folder).confined(Confinement { read, write });
        }
        Ok(command)
    }
}
