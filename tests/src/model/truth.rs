//! What must be true, as plain data in memory: what each task is, what each attempt at it has done in which
//! journal, and what the hub has been told. The world writes it down as things happen, without asking the
//! hub or the journal; whoever differs from it is wrong.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use kolga_protocol::id::{Attempt, Run, TaskId};
use kolga_protocol::message::{Report, ReportBody, Reports};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::{Event, Next, State};

use uuid::Uuid;

use super::plan::Plan;
use super::port::{HubPort, Told};
use super::tally::Tally;

const EVENTS: [Event; 11] = [
    Event::Sent,
    Event::Accepted,
    Event::Started,
    Event::RollingBack,
    Event::Stuck,
    Event::Resumed,
    Event::Succeeded,
    Event::Failed,
    Event::Cancelled,
    Event::Interrupted,
    Event::Rejected,
];

/// What the hub writes where numbers are missing, after how many.
const GAP: &str = " reports before this one never arrived";

/// A task that the hub has taken.
pub struct TaskTruth {
    /// Where it runs, by number.
    pub server: usize,
    /// How long it is.
    pub plan: Plan,
    /// Its newest attempt, as far as the hub has told.
    pub attempt: Attempt,
    /// Where that stands.
    pub state: State,
    entries: i64,
    lines: BTreeSet<String>,
    gaps_told: u64,
    gaps_made: u64,
    heard: BTreeMap<Attempt, (Uuid, u64)>,
}

/// An attempt in one journal.
#[derive(Debug, Default)]
pub struct Life {
    started: u32,
    applied: BTreeMap<u16, u32>,
    /// How it ended.
    pub ended: Option<Event>,
    /// Whether an operator gave it up, so that something of it may be left.
    pub abandoned: bool,
    /// The last number of its reports.
    pub reported: u64,
    /// Its lines.
    pub lines: Vec<String>,
}

/// All of it.
#[derive(Default)]
pub struct Truth {
    /// Every task, by identity.
    pub tasks: BTreeMap<TaskId, TaskTruth>,
    /// Every task, in the order of asking.
    pub order: Vec<TaskId>,
    lives: BTreeMap<Run, BTreeMap<u32, Life>>,
}

impl Truth {
    /// The hub has taken a task.
    pub fn created(&mut self, task: TaskId, server: usize, plan: Plan) {
        self.order.push(task);
        self.tasks.insert(
            task,
            TaskTruth {
                server,
                plan,
                attempt: Attempt::FIRST,
                state: State::Queued,
                entries: 0,
                lines: BTreeSet::new(),
                gaps_told: 0,
                gaps_made: 0,
                heard: BTreeMap::new(),
            },
        );
    }

    /// A task by number.
    #[must_use]
    pub fn nth(&self, number: u8) -> Option<TaskId> {
        let count = self.order.len();
        (count > 0).then(|| self.order[usize::from(number) % count])
    }

    /// An attempt in the journal of this generation.
    pub fn life(&mut self, run: Run, generation: u32) -> &mut Life {
        self.lives
            .entry(run)
            .or_default()
            .entry(generation)
            .or_default()
    }

    /// An attempt in all journals that ever had it.
    #[must_use]
    pub fn lives(&self, run: Run) -> Option<&BTreeMap<u32, Life>> {
        self.lives.get(&run)
    }

    /// Every attempt at a task that any journal ever had.
    pub fn runs(&self, task: TaskId) -> impl Iterator<Item = (Run, &BTreeMap<u32, Life>)> {
        self.lives
            .iter()
            .filter(move |(run, _)| run.task == task)
            .map(|(run, lives)| (*run, lives))
    }

    /// Whether a former journal of the server had it: nobody can tell any more what it did there.
    #[must_use]
    pub fn is_in_doubt(&self, run: Run, generation: u32) -> bool {
        self.lives
            .get(&run)
            .is_some_and(|lives| lives.keys().any(|known| *known < generation))
    }

    /// An attempt begins.
    ///
    /// # Errors
    /// When it has begun before.
    pub fn starts(&mut self, run: Run, generation: u32) -> Result<()> {
        let life = self.life(run, generation);
        life.started += 1;
        ensure!(life.started == 1, "{run} is begun a second time");
        ensure!(life.ended.is_none(), "{run} is begun after its end");
        Ok(())
    }

    /// A step takes effect.
    ///
    /// # Errors
    /// When it has done so before.
    pub fn applies(&mut self, run: Run, generation: u32, position: u16) -> Result<()> {
        let life = self.life(run, generation);
        let times = life.applied.entry(position).or_default();
        *times += 1;
        ensure!(*times == 1, "step {position} of {run} takes effect twice");
        Ok(())
    }

    /// A message of the spool is seen for the first time.
    ///
    /// # Errors
    /// When a number is missing in it.
    pub fn spooled(&mut self, reports: &Reports, generation: u32) -> Result<()> {
        for Report { run, seq, body, .. } in &reports.items {
            let life = self.life(*run, generation);
            if *seq == life.reported + 1 {
                life.reported = *seq;
                continue;
            }
            let is_end = matches!(body, ReportBody::State(state) if is_end(state.event));
            ensure!(
                *seq <= life.reported && is_end,
                "{run} reports number {seq} after {}",
                life.reported
            );
        }
        Ok(())
    }

    /// The hub takes reports: what it has to say about their numbers.
    pub fn delivered(&mut self, server: &ServerName, reports: &Reports, tally: &Tally) {
        for report in &reports.items {
            let Some(task) = self.tasks.get_mut(&report.run.task) else {
                continue;
            };
            if report.run.attempt != task.attempt || reports.server != *server {
                tally.fired("a report of an older attempt was ignored");
                continue;
            }
            let (journal, heard) = task
                .heard
                .entry(task.attempt)
                .or_insert((reports.journal, 0));
            if *journal != reports.journal {
                tally.fired("a new journal told of an old attempt");
            } else if report.seq > *heard {
                task.gaps_made += report.seq - *heard - 1;
                *heard = report.seq;
            }
        }
    }

    /// Looks at every task through the hub's API.
    ///
    /// # Errors
    /// When what it tells cannot have happened.
    pub async fn observe(&mut self, hub: &HubPort, tally: &Tally) -> Result<()> {
        for (id, task) in &mut self.tasks {
            for entry in hub.entries(*id, task.entries).await? {
                ensure!(
                    entry.seq == task.entries + 1,
                    "entry {} of task {id} follows {}",
                    entry.seq,
                    task.entries
                );
                task.entries = entry.seq;
                match entry.told {
                    Told::State(state) => task.moves(Run::new(*id, entry.attempt), state)?,
                    Told::Line(text) => task.reads(text, tally)?,
                    Told::Step => {}
                }
            }
            let shown = hub.shown(*id).await?;
            task.follows(shown.run)?;
            if (task.state, shown.state) == (State::Queued, State::Sent) {
                task.state = State::Sent;
            }
            ensure!(
                task.state == shown.state,
                "{} is {} without a word; it was {}",
                shown.run,
                shown.state,
                task.state
            );
            ensure!(
                !shown.finished || shown.state.is_terminal(),
                "{} is finished and {}",
                shown.run,
                shown.state
            );
            ensure!(
                task.gaps_told == task.gaps_made,
                "{} reports of {id} are missing and the hub tells of {}",
                task.gaps_made,
                task.gaps_told
            );
        }
        Ok(())
    }
}

fn is_end(event: Event) -> bool {
    matches!(State::Running.on(event), Ok(Next::To(state)) if state.is_terminal())
        || event == Event::Rejected
}

impl TaskTruth {
    /// The last number that the hub was told of this attempt.
    #[must_use]
    pub fn heard(&self, attempt: Attempt) -> u64 {
        self.heard.get(&attempt).map_or(0, |(_, seq)| *seq)
    }

    /// Whether the hub shows the line, or says that something is missing.
    #[must_use]
    pub fn accounts_for(&self, line: &str) -> bool {
        self.lines.contains(line) || self.gaps_told > 0
    }

    /// A newer attempt may only follow one that ended without success.
    fn follows(&mut self, run: Run) -> Result<()> {
        if run.attempt == self.attempt {
            return Ok(());
        }
        ensure!(
            run.attempt == self.attempt.next(),
            "attempt {} follows attempt {}",
            run,
            self.attempt
        );
        ensure!(
            self.state.is_terminal() && self.state != State::Succeeded,
            "{run} follows an attempt that is {}",
            self.state
        );
        self.attempt = run.attempt;
        self.state = State::Queued;
        Ok(())
    }

    fn moves(&mut self, run: Run, state: State) -> Result<()> {
        self.follows(run)?;
        // An end that is told again says only that no further attempt comes.
        let again = state == self.state && state.is_terminal();
        let legal = EVENTS
            .iter()
            .any(|event| self.state.on(*event) == Ok(Next::To(state)));
        ensure!(
            again || legal,
            "{run} becomes {state} at the hub; it was {}",
            self.state
        );
        self.state = state;
        Ok(())
    }

    fn reads(&mut self, text: String, tally: &Tally) -> Result<()> {
        if let Some(count) = text.strip_suffix(GAP) {
            tally.fired("a gap between reports was told");
            self.gaps_told += count.parse::<u64>()?;
        } else if text.starts_with("line ") {
            ensure!(self.lines.insert(text.clone()), "{text:?} is shown twice");
        }
        Ok(())
    }
}
