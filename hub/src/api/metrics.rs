//! `/v1/metrics`: the hub's counters and gauges as Prometheus reads them (text format 0.0.4). Read from the
//! store's counters, the links' traffic, what the hub knows of its servers, and /proc.

use std::fmt::{Display, Write as _};

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use kolga_protocol::link::LinkState;
use serde::Deserialize;

use super::Api;
use super::error::ApiError;
use super::extract::Asked;
use crate::app::App;
use crate::store::StoreError;
use crate::usage;
use crate::wire::Presence;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    only: Option<Only>,
}

/// What the database need not be asked for: cheap enough to be read many times a second.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Only {
    Counters,
}

pub(super) async fn metrics(
    State(api): State<Api>,
    Asked(wanted): Asked<Wanted>,
) -> Result<impl IntoResponse, ApiError> {
    let mut text = Text::default();
    counters(&api.app, &mut text);
    if wanted.only.is_none() {
        gauges(&api.app, &mut text).await?;
    }
    Ok(([(header::CONTENT_TYPE, FORMAT)], text.0))
}

fn counters(app: &App, text: &mut Text) {
    let counted = app.store.counters().read();
    text.family("kolga_tasks_created_total", "counter", "Tasks made.");
    text.sample(&[], counted.created);
    text.family(
        "kolga_tasks_ended_total",
        "counter",
        "Tasks after which nothing more happens by itself, by the state in which they ended.",
    );
    for (state, count) in counted.ended {
        text.sample(&[("state", state.as_str())], count);
    }
    text.family(
        "kolga_store_commits_total",
        "counter",
        "Transactions committed.",
    );
    text.sample(&[], counted.commits);
    text.family(
        "kolga_store_commit_seconds_total",
        "counter",
        "Time from the beginning of each of these to its commit.",
    );
    text.sample(&[], counted.busy.as_secs_f64());
    text.family(
        "kolga_store_operations_total",
        "counter",
        "Operations in them.",
    );
    text.sample(&[], counted.operations);
    text.family(
        "kolga_store_rows_total",
        "counter",
        "Rows of tasks, attempts and entries, and of the outbox for new tasks, that they wrote.",
    );
    text.sample(&[], counted.rows);
    text.family(
        "kolga_store_failures_total",
        "counter",
        "Transactions that failed.",
    );
    text.sample(&[], counted.failures);
    traffic(app, text);
}

fn traffic(app: &App, text: &mut Text) {
    let links = app.traffic.read();
    text.family(
        "kolga_link_messages_total",
        "counter",
        "Messages to and from the broker, by what the link is for.",
    );
    let shown = |count: u64| count > 0;
    for link in &links {
        for (direction, count) in [("published", link.published), ("consumed", link.consumed)] {
            if shown(count) {
                text.sample(&[("link", &link.purpose), ("direction", direction)], count);
            }
        }
    }
    text.family(
        "kolga_link_bytes_total",
        "counter",
        "The bytes of their bodies.",
    );
    for link in &links {
        let both = [
            ("published", link.published_bytes),
            ("consumed", link.consumed_bytes),
        ];
        for (direction, count) in both {
            if shown(count) {
                text.sample(&[("link", &link.purpose), ("direction", direction)], count);
            }
        }
    }
}

async fn gauges(app: &App, text: &mut Text) -> Result<(), StoreError> {
    text.family(
        "kolga_tasks_open",
        "gauge",
        "Tasks that are not finished, by state.",
    );
    for (state, count) in app.store.open_by_state().await? {
        text.sample(&[("state", state.as_str())], count);
    }
    let totals = app.store.totals().await?;
    text.family(
        "kolga_outbox_messages",
        "gauge",
        "Messages that wait to be sent.",
    );
    text.sample(&[], totals.outbox);
    text.family(
        "kolga_outbox_blocked_messages",
        "gauge",
        "Those among them that have no queue to go to.",
    );
    text.sample(&[], totals.blocked);
    presences(app, text).await?;
    text.family("kolga_link_up", "gauge", "1 while messages can flow.");
    let up = |state: &LinkState| u8::from(state.is_up());
    text.sample(&[("link", "relay")], up(&app.publisher.borrow()));
    text.sample(&[("link", "inbox")], up(&app.inbox.borrow()));
    text.family("kolga_uptime_seconds", "gauge", "Since the hub began.");
    text.sample(&[], app.began.elapsed().as_secs_f64());
    match usage::mine() {
        Ok(used) => {
            text.family(
                "process_cpu_seconds_total",
                "counter",
                "Processor time of the hub.",
            );
            text.sample(&[], used.cpu_seconds);
            text.family(
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory of the hub.",
            );
            text.sample(&[], used.resident_bytes);
        }
        Err(error) => tracing::warn!(%error, "the hub cannot tell what it uses"),
    }
    Ok(())
}

async fn presences(app: &App, text: &mut Text) -> Result<(), StoreError> {
    let (mut online, mut silent, mut never) = (0_u32, 0_u32, 0_u32);
    for (server, seen_at) in app.store.seen().await? {
        *match app.presences.of(&server, seen_at) {
            Presence::Online => &mut online,
            Presence::Silent => &mut silent,
            Presence::NeverSeen => &mut never,
        } += 1;
    }
    text.family(
        "kolga_servers",
        "gauge",
        "Servers, by whether their workers are heard.",
    );
    text.sample(&[("presence", "online")], online);
    text.sample(&[("presence", "silent")], silent);
    text.sample(&[("presence", "never_seen")], never);
    Ok(())
}

/// The text as it grows.
#[derive(Default)]
struct Text(String, &'static str);

impl Text {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.1 = name;
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A value of the last family. Labels are names of ours: they need no escaping.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = self.1;
        self.push(format_args!("{name}"));
        for (place, (label, of)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            self.push(format_args!("{before}{label}=\"{of}\""));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{after} {value}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.0
            .write_fmt(text)
            .expect("writing to a string cannot fail");
    }
}
