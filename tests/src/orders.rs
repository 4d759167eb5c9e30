//! The hand of a test on one program: what it is told to break, and what it noted.
//!
//! The orders lie in a file that the program reads again at every point (`protocol/src/fault.rs`), so that one
//! process can go through many tries, and the one that recovers a try is the one that the next is made with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::worker::Orders;

/// The files, and how many orders were given.
pub struct Hand {
    orders: PathBuf,
    trace: PathBuf,
    given: usize,
}

impl Default for Hand {
    fn default() -> Self {
        Self::new()
    }
}

impl Hand {
    /// Files of their own, of which the trace can be written by whoever runs the program.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let name = format!("kolga-orders-{}", uuid::Uuid::now_v7());
        let hand = Self {
            orders: std::env::temp_dir().join(&name),
            trace: std::env::temp_dir().join(format!("{name}.trace")),
            given: 0,
        };
        std::fs::write(&hand.trace, "").expect("a file");
        let anybody = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(&hand.trace, anybody).expect("given to the program");
        hand
    }

    /// What a program is started with.
    #[must_use]
    pub fn orders(&self) -> Orders {
        Orders {
            faults: Some(format!("@{}", self.orders.display())),
            trace: Some(self.trace.clone()),
            ..Orders::default()
        }
    }

    /// Gives an order; from here on the program counts anew.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn give(&mut self, order: &str) {
        self.given += 1;
        // The number makes every order another text, also one that is given twice.
        let text = format!("{order},try@{}\n", self.given);
        let aside = self.orders.with_extension("new");
        std::fs::write(&aside, text).expect("an order");
        std::fs::rename(&aside, &self.orders).expect("an order");
    }

    /// Nothing is to be broken.
    pub fn calm(&mut self) {
        self.give("");
    }

    /// What the program noted since the last order.
    ///
    /// # Panics
    /// When the trace cannot be read.
    #[must_use]
    pub fn noted(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.trace).expect("a trace");
        let begins = format!("try@{}", self.given);
        let lines: Vec<&str> = text.lines().collect();
        let began = lines
            .iter()
            .rposition(|line| line.starts_with("ORDERS ") && line.ends_with(&begins));
        let since = began.map_or(&[][..], |at| &lines[at + 1..]);
        since.iter().map(|&line| line.to_owned()).collect()
    }

    /// The names of the points that were passed since the last order.
    #[must_use]
    pub fn passed(&self) -> Vec<String> {
        let noted = self.noted();
        let points = noted.iter().filter_map(|line| line.split_once(' '));
        points
            .filter(|(number, name)| number.parse::<u64>().is_ok() && !name.contains(' '))
            .map(|(_, name)| name.to_owned())
            .collect()
    }

    /// The point at which the program died last.
    ///
    /// # Panics
    /// When the trace cannot be read.
    #[must_use]
    pub fn killed_at(&self) -> Option<String> {
        let text = std::fs::read_to_string(&self.trace).expect("a trace");
        text.lines()
            .rev()
            .find_map(|line| Some(line.split_once(" KILLED ")?.1.to_owned()))
    }

    /// How often something was made to fail since the last order.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.times("FAILED ")
    }

    /// How many disks were filled since the last order.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.times("FILLED ")
    }

    fn times(&self, what: &str) -> usize {
        let noted = self.noted();
        noted.iter().filter(|line| line.starts_with(what)).count()
    }
}
