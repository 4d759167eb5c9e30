//! Makes children, and the worker's own long work on files, give way to whatever else the machine does.
//! The worker's own threads do not: a daemon that is niced falls silent on a busy machine.

use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{getpriority_process, setpriority_process};

static NICE: AtomicI32 = AtomicI32::new(0);

/// How much [`give_way`] gives from now on.
pub fn set_nice(nice: i32) {
    NICE.store(nice, Ordering::Relaxed);
}

/// Lowers the priority of the calling thread, for good: it must be one for long work only. The kernel
/// derives the priority for disks from it.
pub fn give_way() {
    to(NICE.load(Ordering::Relaxed));
}

/// Lowers the priority of the calling thread and of what it becomes. What is refused is let be: a program
/// in the way is better than none.
pub(super) fn to(nice: i32) {
    if getpriority_process(None).is_ok_and(|now| now < nice) {
        setpriority_process(None, nice).ok();
    }
}
