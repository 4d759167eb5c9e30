//! Who may run next: claims on objects, granted in the order of asking, and two lanes; what visitors wait for goes past both.
//!
//! Pure bookkeeping for [`super::runner`]. Every object has a queue of those who claim it; the ones at its
//! head hold it: one that changes it, or any number that only rely on it. Whoever heads all of its queues
//! waits for room in its lane only. Work per change grows with the claims of the one task concerned, not
//! with how many wait.

use std::collections::{BTreeMap, HashMap, VecDeque};

use kolga_protocol::id::{Run, TaskId};
use kolga_protocol::message::Deferral;
use kolga_protocol::object::{Access, Claim, Lane, Object};

/// What can be claimed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Object(Object),
    /// Every attempt claims its task, so that two attempts at one task never overlap.
    Task(TaskId),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Task(task) => write!(f, "task:{task}"),
        }
    }
}

#[derive(Debug)]
struct Claimant {
    run: Run,
    access: Access,
    granted: bool,
}

#[derive(Debug)]
struct Member {
    order: u64,
    lane: Lane,
    grows: bool,
    keys: Vec<Key>,
    /// Claims that it does not hold yet.
    missing: usize,
    /// Whether it takes room in its lane now.
    running: bool,
}

/// The claims of all attempts that have not ended.
#[derive(Debug)]
pub struct Schedule {
    heavy: Slots,
    light: Slots,
    urgent: Slots,
    queues: HashMap<Key, VecDeque<Claimant>>,
    members: HashMap<Run, Member>,
    next_order: u64,
}

/// A lane: those that hold all their claims and wait for room, by the order of asking. Those that take up
/// disk stand apart, so that the others can pass them when it is full.
#[derive(Debug)]
struct Slots {
    most: usize,
    taken: usize,
    ready: BTreeMap<u64, Run>,
    growing: BTreeMap<u64, Run>,
}

/// What may begin at all, whatever room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Everything.
    All,
    /// All but the heavy tasks that take up disk.
    NotGrowing,
    /// Light tasks.
    Light,
}

impl Slots {
    fn new(most: usize) -> Self {
        Self {
            most,
            taken: 0,
            ready: BTreeMap::new(),
            growing: BTreeMap::new(),
        }
    }

    /// The first that waits for nothing but room; of those that take up disk only when they may, too.
    fn pop(&mut self, growing: bool) -> Option<Run> {
        if self.taken >= self.most {
            return None;
        }
        let first = |queue: &BTreeMap<u64, Run>| queue.keys().next().copied();
        let (one, other) = (first(&self.ready), first(&self.growing));
        let (_, run) = match (one, other) {
            (Some(one), Some(other)) if growing && other < one => self.growing.pop_first(),
            (None, Some(_)) if growing => self.growing.pop_first(),
            _ => self.ready.pop_first(),
        }?;
        self.taken += 1;
        Some(run)
    }
}

impl Schedule {
    /// No claims yet; at most so many attempts run at once in each lane.
    #[must_use]
    pub fn new(heavy: usize, light: usize) -> Self {
        Self {
            heavy: Slots::new(heavy),
            light: Slots::new(light),
            urgent: Slots::new(usize::MAX),
            queues: HashMap::new(),
            members: HashMap::new(),
            next_order: 0,
        }
    }

    /// Other bounds from now on; what runs goes on.
    pub fn resize(&mut self, heavy: usize, light: usize) {
        self.heavy.most = heavy;
        self.light.most = light;
    }

    /// Queues an attempt behind all that came before it.
    pub fn add(&mut self, run: Run, claims: &[Claim], lane: Lane, grows: bool) {
        let order = self.next_order;
        self.next_order += 1;
        let mut wanted: Vec<(Key, Access)> = vec![(Key::Task(run.task), Access::Exclusive)];
        for claim in claims {
            wanted.push((Key::Object(claim.object.clone()), claim.access));
        }
        let keys: Vec<Key> = wanted.iter().map(|(key, _)| key.clone()).collect();
        self.members.insert(
            run,
            Member {
                order,
                lane,
                grows,
                missing: keys.len(),
                keys: keys.clone(),
                running: false,
            },
        );
        for (key, access) in wanted {
            self.queues.entry(key).or_default().push_back(Claimant {
                run,
                access,
                granted: false,
            });
        }
        for key in &keys {
            self.grant(key);
        }
    }

    /// The next attempt that may run now; it takes room in its lane.
    pub fn start_next(&mut self, open: Open) -> Option<Run> {
        let heavy = |heavy: &mut Slots| match open {
            Open::All => heavy.pop(true),
            Open::NotGrowing => heavy.pop(false),
            Open::Light => None,
        };
        // Light tasks may also take up disk: they are small. Urgent ones say themselves whether there is room.
        let urgent = self.urgent.pop(true).or_else(|| self.light.pop(true));
        let run = urgent.or_else(|| heavy(&mut self.heavy))?;
        if let Some(member) = self.members.get_mut(&run) {
            member.running = true;
        }
        Some(run)
    }

    /// Whether a heavy task waits for nothing but to be let begin.
    pub fn heavy_could_start(&self) -> bool {
        let heavy = &self.heavy;
        heavy.taken < heavy.most && !(heavy.ready.is_empty() && heavy.growing.is_empty())
    }

    /// Whether it has all that it claims.
    pub fn holds_all(&self, run: Run) -> bool {
        let member = self.members.get(&run);
        member.is_some_and(|member| member.missing == 0)
    }

    /// Runs an attempt whatever room there is: it was running before a restart, and so holds its claims.
    pub fn start_regardless(&mut self, run: Run) {
        let Some(member) = self.members.get_mut(&run) else {
            return;
        };
        let (order, lane, was_running) = (member.order, member.lane, member.running);
        member.running = true;
        let slots = self.slots(lane);
        slots.ready.remove(&order);
        slots.growing.remove(&order);
        if !was_running {
            slots.taken += 1;
        }
    }

    /// Gives the room in the lane back, and keeps the claims: it is stuck.
    pub fn keep_claims_only(&mut self, run: Run) {
        if let Some(member) = self.members.get_mut(&run) {
            let lane = member.lane;
            if std::mem::replace(&mut member.running, false) {
                self.slots(lane).taken -= 1;
            }
        }
    }

    /// Gives everything back: it has ended, or never began.
    pub fn remove(&mut self, run: Run) {
        let Some(member) = self.members.remove(&run) else {
            return;
        };
        let slots = self.slots(member.lane);
        slots.ready.remove(&member.order);
        slots.growing.remove(&member.order);
        if member.running {
            slots.taken -= 1;
        }
        for key in member.keys {
            if let Some(queue) = self.queues.get_mut(&key) {
                queue.retain(|claimant| claimant.run != run);
                if queue.is_empty() {
                    self.queues.remove(&key);
                } else {
                    self.grant(&key);
                }
            }
        }
    }

    /// Why an attempt does not run: the object and who holds it, the gate that is `shut`, or the lane.
    pub fn waits_for(&self, run: Run, shut: Option<&Deferral>) -> Option<String> {
        let member = self.members.get(&run)?;
        if member.running {
            return None;
        }
        for key in &member.keys {
            let queue = self.queues.get(key)?;
            let mine = queue.iter().find(|claimant| claimant.run == run)?;
            if !mine.granted {
                let holder = queue.front()?.run;
                return Some(format!("{key} is in use by task {}", holder.task));
            }
        }
        if let Some(shut) = shut
            && member.lane == Lane::Heavy
            && (member.grows || !shut.growing_only)
        {
            return Some(shut.reason.clone());
        }
        let lane = match member.lane {
            Lane::Light | Lane::Instant => "light",
            Lane::Heavy => "heavy",
            Lane::Urgent => "urgent",
        };
        Some(format!("all places for {lane} tasks are taken"))
    }

    fn slots(&mut self, lane: Lane) -> &mut Slots {
        match lane {
            Lane::Heavy => &mut self.heavy,
            Lane::Urgent => &mut self.urgent,
            // Met here only when an earlier release accepted it without carrying it out.
            Lane::Light | Lane::Instant => &mut self.light,
        }
    }

    /// Lets those at the head of a queue have the object.
    fn grant(&mut self, key: &Key) {
        let mut granted = Vec::new();
        if let Some(queue) = self.queues.get_mut(key) {
            for (position, claimant) in queue.iter_mut().enumerate() {
                if claimant.access == Access::Exclusive && position > 0 {
                    break;
                }
                if !std::mem::replace(&mut claimant.granted, true) {
                    granted.push(claimant.run);
                }
                if claimant.access == Access::Exclusive {
                    break;
                }
            }
        }
        for run in granted {
            let Some(member) = self.members.get_mut(&run) else {
                continue;
            };
            member.missing -= 1;
            if member.missing == 0 {
                let (order, lane, grows) = (member.order, member.lane, member.grows);
                let slots = self.slots(lane);
                let ready = match grows {
                    true => &mut slots.growing,
                    false => &mut slots.ready,
                };
                ready.insert(order, run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kolga_protocol::id::Attempt;

    use super::*;

    fn run() -> Run {
        Run::new(TaskId::generate(), Attempt::FIRST)
    }

    fn site(name: &str) -> Object {
        Object::Site(name.parse().expect("a host name"))
    }

    fn started(schedule: &mut Schedule) -> Vec<Run> {
        std::iter::from_fn(|| schedule.start_next(Open::All)).collect()
    }

    #[test]
    fn who_may_not_wait_gets_what_is_free_and_takes_no_place() {
        let mut schedule = Schedule::new(1, 1);
        let (cron, task, other) = (run(), run(), run());
        let claim = [Claim::exclusive(site("a.test"))];
        schedule.add(cron, &claim, Lane::Light, false);
        assert!(schedule.holds_all(cron));
        schedule.start_regardless(cron);
        schedule.keep_claims_only(cron);
        schedule.add(
            other,
            &[Claim::exclusive(site("b.test"))],
            Lane::Light,
            false,
        );
        assert_eq!(
            started(&mut schedule),
            [other],
            "the lane has its one place"
        );
        schedule.remove(other);
        schedule.add(task, &claim, Lane::Light, false);
        assert!(!schedule.holds_all(task));
        assert!(started(&mut schedule).is_empty());
        schedule.remove(cron);
        assert_eq!(started(&mut schedule), [task]);
    }

    #[test]
    fn two_tasks_on_one_object_never_overlap_and_keep_their_order() {
        let mut schedule = Schedule::new(4, 4);
        let (a, b, c) = (run(), run(), run());
        let claim = [Claim::exclusive(site("a.test"))];
        for each in [a, b, c] {
            schedule.add(each, &claim, Lane::Heavy, false);
        }
        assert_eq!(started(&mut schedule), [a]);
        schedule.remove(a);
        assert_eq!(started(&mut schedule), [b]);
        schedule.remove(b);
        assert_eq!(started(&mut schedule), [c]);
    }

    #[test]
    fn readers_share_and_a_writer_between_them_keeps_its_place() {
        let mut schedule = Schedule::new(9, 9);
        let object = site("a.test");
        let (r1, r2, w, r3) = (run(), run(), run(), run());
        schedule.add(r1, &[Claim::shared(object.clone())], Lane::Light, false);
        schedule.add(r2, &[Claim::shared(object.clone())], Lane::Light, false);
        schedule.add(w, &[Claim::exclusive(object.clone())], Lane::Light, false);
        schedule.add(r3, &[Claim::shared(object)], Lane::Light, false);
        assert_eq!(started(&mut schedule), [r1, r2]);
        schedule.remove(r1);
        assert!(started(&mut schedule).is_empty());
        schedule.remove(r2);
        assert_eq!(started(&mut schedule), [w]);
        schedule.remove(w);
        assert_eq!(started(&mut schedule), [r3]);
    }

    #[test]
    fn a_full_heavy_lane_does_not_hold_up_light_tasks() {
        let mut schedule = Schedule::new(1, 1);
        let (h1, h2, l1) = (run(), run(), run());
        schedule.add(h1, &[], Lane::Heavy, false);
        schedule.add(h2, &[], Lane::Heavy, false);
        schedule.add(l1, &[], Lane::Light, false);
        assert_eq!(started(&mut schedule), [l1, h1]);
        assert!(
            schedule
                .waits_for(h2, None)
                .is_some_and(|why| why.contains("heavy"))
        );
    }

    #[test]
    fn what_visitors_wait_for_begins_whatever_runs_and_whatever_gate_is_shut() {
        let mut schedule = Schedule::new(1, 1);
        let (heavy, waits, urgent, other, same) = (run(), run(), run(), run(), run());
        schedule.add(heavy, &[], Lane::Heavy, false);
        schedule.add(waits, &[], Lane::Heavy, false);
        assert_eq!(started(&mut schedule), [heavy]);
        let claim = [Claim::exclusive(site("a.test"))];
        schedule.add(urgent, &claim, Lane::Urgent, true);
        schedule.add(other, &[], Lane::Urgent, true);
        schedule.add(same, &claim, Lane::Urgent, true);
        assert_eq!(schedule.start_next(Open::Light), Some(urgent));
        assert_eq!(schedule.start_next(Open::NotGrowing), Some(other));
        assert!(
            started(&mut schedule).is_empty(),
            "claims hold all the same"
        );
        schedule.remove(urgent);
        assert_eq!(started(&mut schedule), [same]);
        schedule.remove(same);
        schedule.remove(other);
        schedule.remove(heavy);
        assert_eq!(started(&mut schedule), [waits], "it took nobody's place");
    }

    #[test]
    fn a_stuck_task_keeps_its_object_locked_and_others_go_on() {
        let mut schedule = Schedule::new(1, 1);
        let (stuck, same, other) = (run(), run(), run());
        schedule.add(
            stuck,
            &[Claim::exclusive(site("a.test"))],
            Lane::Heavy,
            false,
        );
        schedule.add(
            same,
            &[Claim::exclusive(site("a.test"))],
            Lane::Heavy,
            false,
        );
        schedule.add(
            other,
            &[Claim::exclusive(site("b.test"))],
            Lane::Heavy,
            false,
        );
        assert_eq!(started(&mut schedule), [stuck]);
        schedule.keep_claims_only(stuck);
        assert_eq!(started(&mut schedule), [other]);
        schedule.remove(other);
        assert!(started(&mut schedule).is_empty());
        assert!(
            schedule
                .waits_for(same, None)
                .is_some_and(|why| why.contains("site:a.test"))
        );
        schedule.remove(stuck);
        assert_eq!(started(&mut schedule), [same]);
    }

    #[test]
    fn two_attempts_at_one_task_never_overlap() {
        let mut schedule = Schedule::new(4, 4);
        let first = run();
        let second = Run::new(first.task, first.attempt.next());
        schedule.add(first, &[], Lane::Light, false);
        schedule.add(second, &[], Lane::Light, false);
        assert_eq!(started(&mut schedule), [first]);
        schedule.remove(first);
        assert_eq!(started(&mut schedule), [second]);
    }

    #[test]
    fn a_full_disk_lets_those_pass_that_do_not_grow_and_the_order_returns_with_the_room() {
        let mut schedule = Schedule::new(9, 9);
        let (grows, heavy, light) = (run(), run(), run());
        schedule.add(grows, &[], Lane::Heavy, true);
        schedule.add(heavy, &[], Lane::Heavy, false);
        schedule.add(light, &[], Lane::Light, true);
        assert_eq!(schedule.start_next(Open::Light), Some(light));
        assert_eq!(schedule.start_next(Open::Light), None);
        assert_eq!(schedule.start_next(Open::NotGrowing), Some(heavy));
        assert_eq!(schedule.start_next(Open::NotGrowing), None);
        let shut = Deferral {
            reason: "no room".to_owned(),
            growing_only: true,
        };
        assert_eq!(schedule.waits_for(grows, Some(&shut)), Some(shut.reason));
        let later = run();
        schedule.add(later, &[], Lane::Heavy, false);
        assert!(schedule.heavy_could_start());
        assert_eq!(started(&mut schedule), [grows, later]);
        assert!(!schedule.heavy_could_start());
    }

    #[test]
    fn nothing_is_left_when_all_have_gone() {
        let mut schedule = Schedule::new(2, 2);
        let runs: Vec<Run> = (0..10).map(|_| run()).collect();
        for each in &runs {
            schedule.add(*each, &[Claim::shared(Object::Server)], Lane::Heavy, false);
        }
        let mut left = runs.len();
        while left > 0 {
            for each in started(&mut schedule) {
                schedule.remove(each);
                left -= 1;
            }
        }
        assert!(schedule.queues.is_empty() && schedule.members.is_empty());
        assert_eq!((schedule.heavy.taken, schedule.light.taken), (0, 0));
    }
}
