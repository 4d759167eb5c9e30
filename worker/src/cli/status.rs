//! `kolga-worker status` and `check`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use kolga_protocol::id::UnixMillis;
use kolga_protocol::message::printable;
use kolga_protocol::names::Engine;

use super::{Form, NOT_RUNNING};
use crate::check;
use crate::config::Config;
use crate::control::{self, Request, Response, Status};
use crate::process::Supervision;
use crate::spoke::Spoke;

pub(super) async fn status(config: &Config, form: Form) -> anyhow::Result<ExitCode> {
    let response = control::ask(&config.control_socket(), &Request::Status).await?;
    let status = match response {
        Some(Response::Status(status)) => status,
        Some(Response::Refused { reason }) => anyhow::bail!("{reason}"),
        Some(Response::Done) => anyhow::bail!("the worker gave an answer to another question"),
        None => {
            if form.json {
                say!("{}", serde_json::json!({"running": false}));
            } else {
                say!("{}: not running", config.server);
            }
            return Ok(ExitCode::from(NOT_RUNNING));
        }
    };
    if form.json {
        let mut shown = serde_json::to_value(&status)?;
        shown["running"] = true.into();
        say!("{}", serde_json::to_string_pretty(&shown)?);
    } else {
        print(&status);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(status: &Status) {
    let counts = status.runner.counts;
    let mood = format!("{:?}", status.mood).to_lowercase();
    say!(
        "{}: running, {mood}, pid {}, version {}",
        status.server,
        status.pid,
        status.version
    );
    say!("  broker    {}", printable(&status.link));
    say!("  children  {}", printable(&status.supervision));
    if let Some(why) = &status.unconfined {
        say!("  confined  nothing can be: {}", printable(why));
    }
    say!(
        "  tasks     {} running, {} waiting, {} stuck",
        counts.running,
        counts.waiting,
        counts.stuck
    );
    if let Some(deferral) = &status.runner.deferring {
        say!("  defers    {}", printable(&deferral.reason));
    }
    say!("  to send   {} batches of reports", status.spooled);
    if let Some(pruned) = &status.pruned {
        let ago = (UnixMillis::now().0 - pruned.at.0).max(0) / 60_000;
        let how = match &pruned.failure {
            None => format!("{} backups went, {} stay", pruned.gone, pruned.kept),
            Some(failure) => format!("failed: {failure}"),
        };
        say!("  pruned    {ago} min ago: {}", printable(&how));
    }
    if status.owed > 0 {
        let owed = status.owed;
        say!("  backups   {owed} that do not count go when their host can be asked");
    }
    for attempt in &status.runner.attempts {
        let what = match attempt.objects.as_slice() {
            [] => attempt.kind.clone(),
            objects => format!("{} {}", attempt.kind, objects.join(", ")),
        };
        let how = match (&attempt.step, &attempt.waits_for) {
            (Some(step), _) => format!("step {step}, {} s", attempt.running_seconds.unwrap_or(0)),
            (None, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        };
        say!("  {:<8} {}  {what}  {how}", attempt.phase, attempt.run);
    }
    let shown = status.runner.attempts.len();
    let all = counts.running + counts.waiting + counts.stuck;
    if all > shown {
        say!("  … and {} more that wait", all - shown);
    }
}

pub(super) async fn check(config: Config, path: &Path, form: Form) -> anyhow::Result<ExitCode> {
    // The running worker's own word where there is one: what this process may do, started by a person from
    // somewhere else, says little about it.
    let running = control::ask(&config.control_socket(), &Request::Status).await;
    let supervision = match running {
        Ok(Some(Response::Status(status))) => {
            let unconfined = status.unconfined.as_deref();
            Ok(Supervision::said(&status.supervision, unconfined))
        }
        _ => Supervision::find(&config).await,
    };
    let (supervision, held) = match supervision {
        Ok(supervision) => (supervision, None),
        Err(error) => {
            let why = Supervision::why_unconfined().await;
            let plain = Supervision::said("process groups", why.as_deref());
            (plain, Some(error))
        }
    };
    let spoke = Spoke::open(config, None).await?.supervised(supervision);
    let cx = check::context(Arc::new(spoke));
    let mut checks = vec![check::config_file(path)];
    checks.extend(held.map(|error| check::check("cgroups", Err(error))));
    checks.extend(check::all(&cx, &Engine::ALL).await?);
    let failed = checks.iter().filter(|check| !check.passed).count();
    if form.json {
        say!("{}", serde_json::to_string_pretty(&checks)?);
    } else {
        for check in &checks {
            let mark = if check.passed { "ok   " } else { "WRONG" };
            say!("{mark} {}: {}", check.name, printable(&check.detail));
        }
        match failed {
            0 => say!("Everything is right."),
            _ => say!("{failed} of {} checks found something wrong.", checks.len()),
        }
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
