//! Which of all places are broken in this run, and which are left for another: chosen by a seed, told in lines.
//!
//! An order of chance is made from the seed, the scenario and the name of each thing, so one choice does not
//! depend on another: the same seed chooses the same in a scenario that is run alone, and there what others of
//! the same run had tried already comes on top.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::claims::Claims;
use super::points::{Point, Sort};

/// Of the places that another scenario of this run has tried: so many of the engine's, so many boundaries, and so
/// many further passes of what is tried once.
const ENGINE: usize = 2;
const BOUNDARIES: usize = 2;
const PASSES: usize = 2;
/// Passes of a point of the hub that are tried when no other scenario of this run has; and otherwise how many names.
const HUB_PASSES: usize = 2;
const HUB_NAMES: usize = 2;
/// Of the effects that another scenario of this run has tried, one in so many: of the same task, and of others.
const SAME_TASK: usize = 8;
const OTHER_TASK: usize = 6;

/// What is tried and what is left for another time.
pub(super) struct Choice {
    seed: u64,
    all: bool,
    scenario: String,
    /// How many of what there is are tried, group by group.
    told: Vec<(&'static str, usize, usize)>,
}

impl Choice {
    /// From the environment: `KOLGA_PAIRS=all` for everything, `KOLGA_SEED` for the same as before.
    pub(super) fn new(scenario: &str) -> Self {
        static NOW: std::sync::LazyLock<u64> =
            std::sync::LazyLock::new(|| std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs());
        let seed = std::env::var("KOLGA_SEED").ok();
        let seed = seed.map_or(*NOW, |text| text.parse().expect("KOLGA_SEED is a number"));
        let all = std::env::var("KOLGA_PAIRS").is_ok_and(|text| text == "all");
        println!(
            "KOLGA_SEED={seed}{}",
            if all { " KOLGA_PAIRS=all" } else { "" }
        );
        Self {
            seed,
            all,
            scenario: scenario.to_owned(),
            told: Vec::new(),
        }
    }

    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// A number of chance that belongs to this name, below `bound`.
    pub(super) fn below(&self, name: &str, bound: usize) -> usize {
        usize::try_from(self.chance(name) % (bound.max(1) as u64)).unwrap_or(0)
    }

    fn chance(&self, name: &str) -> u64 {
        let text = format!("{} {} {name}", self.seed, self.scenario);
        let hash = Sha256::digest(text.as_bytes());
        let mut eight = [0; 8];
        eight.copy_from_slice(&hash[..8]);
        u64::from_be_bytes(eight)
    }

    /// Some of them, in their order; all of them when everything is wanted. `group` is what they are called where
    /// it is told how many were left out.
    pub(super) fn some<T: Clone>(
        &mut self,
        group: &'static str,
        items: &[T],
        most: usize,
        name: impl Fn(&T) -> String,
    ) -> Vec<T> {
        let most = if self.all { items.len() } else { most };
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_cached_key(|&at| self.chance(&format!("{group} {}", name(&items[at]))));
        let chosen: BTreeSet<usize> = order.into_iter().take(most).collect();
        self.tell(group, chosen.len(), items.len());
        chosen.into_iter().map(|at| items[at].clone()).collect()
    }

    /// All of them, and it is told that they were.
    pub(super) fn all_of<T>(&mut self, group: &'static str, items: &[T]) {
        self.tell(group, items.len(), items.len());
    }

    /// The points at which the hub is killed: of `new` names some passes, of some others one.
    pub(super) fn hub(
        &mut self,
        by_name: &BTreeMap<String, Vec<Point>>,
        new: &BTreeSet<String>,
    ) -> BTreeMap<String, Vec<Point>> {
        let (news, known): (Vec<&String>, Vec<&String>) =
            by_name.keys().partition(|name| new.contains(*name));
        self.all_of("new places at the hub", &news);
        let known = self.some("places at the hub", &known, HUB_NAMES, |name| {
            (*name).clone()
        });
        let news = news.into_iter().map(|name| (name, HUB_PASSES));
        let mut chosen = BTreeMap::new();
        for (name, most) in news.chain(known.into_iter().map(|name| (name, 1))) {
            let passes = self.some("passes of these", &by_name[name], most, Point::kill);
            chosen.insert(name.clone(), passes);
        }
        chosen
    }

    /// The points at which the worker is killed: every place that no scenario of this run has tried, of the
    /// boundaries of a step one, and of each sort of boundary one; of the rest a few.
    pub(super) fn points(
        &mut self,
        task: &str,
        points: &[Point],
        claims: &mut Claims,
    ) -> Vec<Point> {
        let mut seen = BTreeSet::new();
        let (places, passes): (Vec<Point>, Vec<Point>) = points
            .iter()
            .cloned()
            .partition(|point| seen.insert(point.place().0.to_owned() + " " + point.place().1));
        let of = |sort: Sort| -> Vec<Point> {
            let places = places.iter().filter(|place| place.sort() == sort);
            places.cloned().collect()
        };
        let mut chosen = self.engine(task, &of(Sort::Engine), claims);
        chosen.extend(self.boundaries(task, &of(Sort::Boundary), claims));
        chosen.extend(self.effects(task, &of(Sort::Effect), claims));
        chosen.extend(self.some("further passes", &passes, PASSES, Point::kill));
        for point in &chosen {
            claims.claim(task, point);
        }
        let mut in_order = points.to_vec();
        in_order.retain(|point| chosen.contains(point));
        in_order
    }

    fn engine(&mut self, task: &str, places: &[Point], claims: &Claims) -> Vec<Point> {
        let (known, mut chosen): (Vec<Point>, Vec<Point>) = places
            .iter()
            .cloned()
            .partition(|place| claims.known(task, place).is_some());
        self.all_of("new places of the engine", &chosen);
        chosen.extend(self.some("places of the engine", &known, ENGINE, Point::kill));
        chosen
    }

    fn boundaries(&mut self, task: &str, places: &[Point], claims: &Claims) -> Vec<Point> {
        let mut order = places.to_vec();
        order.sort_by_cached_key(|place| self.chance(&place.kill()));
        let (mut kinds, mut steps) = (BTreeSet::new(), BTreeSet::new());
        let (mut chosen, mut rest) = (Vec::new(), Vec::new());
        for place in order {
            let new_step =
                !claims.knows_step(task, &place.step) && steps.insert(place.step.clone());
            let new_kind = kinds.insert(place.boundary());
            match new_step || new_kind {
                true => chosen.push(place),
                false => rest.push(place),
            }
        }
        self.all_of("boundaries, of each new step and of each sort one", &chosen);
        chosen.extend(self.some(
            "further boundaries of steps",
            &rest,
            BOUNDARIES,
            Point::kill,
        ));
        chosen
    }

    fn effects(&mut self, task: &str, places: &[Point], claims: &Claims) -> Vec<Point> {
        let known = |wanted: Option<bool>| -> Vec<Point> {
            let places = places.iter();
            let places = places.filter(|place| claims.known(task, place) == wanted);
            places.cloned().collect()
        };
        let mut chosen = known(None);
        self.all_of("new effects of steps", &chosen);
        for (group, items, one_in) in [
            (
                "effects tried for this task already",
                known(Some(true)),
                SAME_TASK,
            ),
            (
                "effects tried for another task already",
                known(Some(false)),
                OTHER_TASK,
            ),
        ] {
            let most = items.len().div_ceil(one_in);
            chosen.extend(self.some(group, &items, most, Point::kill));
        }
        chosen
    }

    fn tell(&mut self, group: &'static str, tried: usize, of: usize) {
        match self.told.iter_mut().find(|(known, ..)| *known == group) {
            Some((_, all_tried, all)) => (*all_tried, *all) = (*all_tried + tried, *all + of),
            None => self.told.push((group, tried, of)),
        }
    }

    /// Prints how many of what there was were tried.
    pub(super) fn print(&self) {
        println!("{}: chosen by KOLGA_SEED={}:", self.scenario, self.seed);
        for (group, tried, of) in self.told.iter().filter(|(.., of)| *of > 0) {
            let left = match of - tried {
                0 => String::new(),
                left => format!(", {left} left out"),
            };
            println!("  {tried} of {of} {group}{left}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::points::read;
    use super::*;

    fn named(names: &[&str]) -> Vec<Point> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        read(&names)
    }

    fn choice(all: bool) -> Choice {
        Choice {
            seed: 7,
            all,
            scenario: "site.install php".to_owned(),
            told: Vec::new(),
        }
    }

    /// Two steps with the same effects, twice as many boundaries as steps, and what stands beside them.
    fn points() -> Vec<Point> {
        named(&[
            "delivered",
            "inspect:a",
            "intend:a",
            "files:written",
            "files:written",
            "files:moved",
            "applied:a",
            "inspect:b",
            "intend:b",
            "files:written",
            "files:moved",
            "applied:b",
            "publish",
            "publish",
            "end",
            "ended",
            "publish",
            "publish",
            "publish",
        ])
    }

    #[test]
    fn what_nobody_has_tried_is_tried_and_of_every_step_and_sort_of_boundary_one() {
        let points = points();
        let chosen = choice(false).points("t", &points, &mut Claims::default());
        for wanted in [0, 3, 5, 9, 10, 12, 14, 15] {
            assert!(chosen.contains(&points[wanted]), "{:?}", points[wanted]);
        }
        for step in ["a", "b"] {
            let mut boundaries = chosen.iter().filter(|p| p.sort() == Sort::Boundary);
            assert!(boundaries.any(|point| point.step == step), "{chosen:?}");
        }
        for sort in ["inspect:", "intend:", "applied:"] {
            let mut boundaries = chosen.iter().filter_map(Point::boundary);
            assert!(boundaries.any(|of| of == sort), "{chosen:?}");
        }
        assert!(chosen.len() < points.len());
        let again = choice(false).points("t", &points, &mut Claims::default());
        assert_eq!(chosen, again);
        let all = choice(true).points("t", &points, &mut Claims::default());
        assert_eq!(all, points);
    }

    #[test]
    fn what_was_tried_before_is_tried_less_and_what_is_new_is_tried_whole() {
        let mut claims = Claims::default();
        let first = choice(false).points("t", &points(), &mut claims);
        let mut more = points();
        more.extend(named(&["inspect:c", "c:made", "applied:c"]));
        let second = choice(false).points("t", &more, &mut claims);
        assert!(second.len() < first.len() + 2, "{second:?}");
        assert!(second.iter().any(|point| point.name == "c:made"));
        assert!(second.iter().any(|point| point.step == "c"));
        // Alone it tries these and others.
        let alone = choice(false).points("t", &more, &mut Claims::default());
        assert!(
            second.iter().all(|point| alone.contains(point)),
            "{second:?} {alone:?}"
        );
        let other = choice(false).points("other", &points(), &mut claims);
        assert!(other.iter().any(|point| point.step == "a"), "{other:?}");
    }

    #[test]
    fn how_many_were_left_out_is_told() {
        let mut choice = choice(false);
        let items = ["one", "two", "three"];
        let chosen = choice.some("numbers", &items, 2, |item| (*item).to_owned());
        assert_eq!(chosen.len(), 2);
        assert_eq!(choice.told, [("numbers", 2, 3)]);
    }
}
