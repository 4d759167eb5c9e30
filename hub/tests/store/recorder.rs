//! What the store says to its database: every statement, as sqlx tells it to the log, and every plan, as
//! PostgreSQL's auto_explain tells it to the client.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, registry};

const STATEMENTS: &str = "sqlx::query";
const NOTICES: &str = "sqlx::postgres::notice";

#[derive(Default)]
struct Told {
    statements: BTreeSet<String>,
    notices: Vec<String>,
}

fn told() -> MutexGuard<'static, Told> {
    static TOLD: OnceLock<Mutex<Told>> = OnceLock::new();
    let told = TOLD.get_or_init(|| {
        let subscriber = registry().with(Recorder);
        tracing::subscriber::set_global_default(subscriber).expect("there is no other");
        Mutex::default()
    });
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on everything is recorded, whichever test of this program says it.
pub fn start() {
    *told() = Told::default();
}

/// The statements over tables of ours, each once, with single blanks.
pub fn statements() -> BTreeSet<String> {
    let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    let told = told();
    let ours = told.statements.iter().filter(|sql| {
        verbs.iter().any(|verb| sql.starts_with(verb)) && !sql.contains("_sqlx_migrations")
    });
    ours.cloned().collect()
}

/// The plans, as JSON.
pub fn plans() -> Vec<serde_json::Value> {
    let told = told();
    let plans = told.notices.iter().filter_map(|notice| {
        let (_, plan) = notice.split_once("plan:\n")?;
        Some(serde_json::from_str(plan).expect("auto_explain speaks JSON"))
    });
    plans.collect()
}

/// Single blanks.
pub fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Recorder;

impl<S: Subscriber> Layer<S> for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        matches!(metadata.target(), STATEMENTS | NOTICES)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        let mut told = told();
        if event.metadata().target() == NOTICES {
            told.notices.push(words.message);
        } else {
            // One that is short is in the summary alone.
            let whole = if words.statement.is_empty() {
                words.summary
            } else {
                words.statement
            };
            told.statements.insert(plain(&whole));
        }
    }
}

#[derive(Default)]
struct Words {
    summary: String,
    statement: String,
    message: String,
}

impl Words {
    fn place(&mut self, name: &str) -> Option<&mut String> {
        match name {
            "summary" => Some(&mut self.summary),
            "db.statement" => Some(&mut self.statement),
            "message" => Some(&mut self.message),
            _ => None,
        }
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(place) = self.place(field.name()) {
            value.clone_into(place);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if let Some(place) = self.place(field.name()) {
            *place = format!("{value:?}");
        }
    }
}
