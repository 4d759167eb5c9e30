//! Where scenarios are tried: stacks of services that know nothing of each other, so that as many scenarios go on at
//! the same time as there are stacks.
//!
//! `deploy/test` starts them and names them; [`crate::breaker`] takes one for a scenario and gives it back.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::stack::Stack;

static FREE: Mutex<Option<Vec<Stack>>> = Mutex::new(None);
static GIVEN_BACK: Condvar = Condvar::new();

/// A stack that nobody else uses, until this is dropped.
pub struct Cell(Stack);

impl Cell {
    /// Waits for one. Tests run in threads of their own, so nobody is held up by that.
    #[must_use]
    pub fn take() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(stack) = free.get_or_insert_with(Stack::load_all).pop() {
                return Self(stack);
            }
            free = GIVEN_BACK
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The stack.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.0
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.get_or_insert_default().push(self.0.clone());
        GIVEN_BACK.notify_one();
    }
}
