//! Which site is due when, and the pruning of backups. Read anew when the spoke's book of sites has changed, which one look at its folder
//! tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kolga_protocol::names::HostName;

use super::every::Every;
use super::pruning;
use crate::registry::SiteEntry;
use crate::spoke::Spoke;

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

struct Row {
    entry: SiteEntry,
    every: Every,
    at: u64,
}

/// The sites that have something to do.
#[derive(Default)]
pub(super) struct Timetable {
    rows: BTreeMap<HostName, Row>,
    /// Of which spoke, and when its book was changed.
    of: Option<(Arc<Spoke>, Option<SystemTime>)>,
    /// When backups are pruned next.
    prune: Option<u64>,
}

impl Timetable {
    /// Reads the spoke's book, if it is another than before. A site that was there keeps its time.
    pub(super) fn read(&mut self, spoke: &Arc<Spoke>) -> anyhow::Result<()> {
        let changed = spoke.registry.sites.changed();
        let same = self
            .of
            .as_ref()
            .is_some_and(|(of, at)| Arc::ptr_eq(of, spoke) && at.is_some() && *at == changed);
        if same {
            return Ok(());
        }
        let is_new = self
            .of
            .as_ref()
            .is_none_or(|(of, _)| !Arc::ptr_eq(of, spoke));
        if is_new {
            self.prune = pruning::next(&spoke.config, now());
        }
        let mut before = std::mem::take(&mut self.rows);
        if spoke.config.cron.enabled {
            for entry in spoke.registry.sites.list()? {
                let cron = spoke.profiles.get(&entry.profile).ok();
                let cron = cron.and_then(|profile| profile.manifest.cron.as_ref());
                let Some(cron) = cron.filter(|_| entry.enabled && entry.held.is_none()) else {
                    continue;
                };
                let kept = before
                    .remove(&entry.host)
                    .filter(|row| row.every == cron.every);
                let at = kept.map_or_else(|| cron.every.next(&entry.host, now()), |row| row.at);
                let every = cron.every;
                self.rows
                    .insert(entry.host.clone(), Row { entry, every, at });
            }
        }
        self.of = Some((Arc::clone(spoke), changed));
        Ok(())
    }

    /// A site whose turn it is; its next one comes in its own time, and not at once when this one was late.
    pub(super) fn due(&mut self, now: u64) -> Option<SiteEntry> {
        for row in self.rows.values_mut() {
            // The clock was set back since.
            let next = row.every.next(&row.entry.host, now);
            row.at = row.at.min(next);
        }
        let row = self.rows.values_mut().find(|row| row.at <= now)?;
        row.at = row.every.next(&row.entry.host, now);
        Some(row.entry.clone())
    }

    /// Whether it is time to prune backups; the next time comes when it comes.
    pub(super) fn prunes(&mut self, now: u64) -> bool {
        let Some((at, (spoke, _))) = self.prune.zip(self.of.as_ref()) else {
            return false;
        };
        let next = pruning::next(&spoke.config, now);
        // The clock was set back since.
        self.prune = next.map(|next| at.min(next));
        let is_due = at <= now;
        if is_due {
            self.prune = next;
        }
        is_due
    }

    /// Backups could not be pruned this time.
    pub(super) fn postpone_pruning(&mut self, at: u64) {
        self.prune = self.prune.map(|next| next.min(at));
    }

    /// It could not be this time.
    pub(super) fn postpone(&mut self, host: &HostName, at: u64) {
        if let Some(row) = self.rows.get_mut(host) {
            row.at = at.min(row.at);
        }
    }

    /// Seconds until the next is due; `None` when nothing ever is.
    pub(super) fn pause(&self, now: u64) -> Option<u64> {
        let sites = self.rows.values().map(|row| row.at);
        let next = sites.chain(self.prune).min()?;
        Some(next.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};

    use super::*;
    use crate::registry::Held;
    use crate::steps::testing::site_context;
    use crate::testing::{Scratch, context};

    use kolga_protocol::naming::Https;

    const PROFILE: &str = "name = \"own\"\ndescription = \"x\"\nneeds = { php = true }\n\
        [cron]\nevery = \"15m\"\nscript = \"cron.php\"\ntimeout_seconds = 60\n\
        [vhost]\ntemplate = \"v.conf\"\n[healthy]\npath = \"/\"\nstatus = 200\n";

    fn spoke(scratch: &Scratch) -> Arc<Spoke> {
        let mut config = site_context(scratch).spoke.config.clone();
        let own = scratch.path().join("profiles/own");
        std::fs::create_dir_all(&own).expect("a folder");
        std::fs::write(own.join("profile.toml"), PROFILE).expect("a file");
        std::fs::write(own.join("cron.php"), "<?php").expect("a file");
        std::fs::write(own.join("v.conf"), "server { listen {{ listen[0] }}; }").expect("a file");
        config.profiles.directories = vec![scratch.path().join("profiles")];
        context(config).0.spoke
    }

    fn entry(host: &str, profile: &str) -> SiteEntry {
        SiteEntry {
            host: host.parse().expect("a host"),
            owner: "a run".to_owned(),
            profile: profile.parse().expect("a profile"),
            platform: None,
            database: None,
            engine: Default::default(),
            aliases: Vec::new(),
            main: None,
            redirects: Vec::new(),
            https: Https::Off,
            options: BTreeMap::new(),
            enabled: true,
            imported: false,
            pool: None,
            held: None,
            path: PathBuf::from("/x"),
            installed_at: UnixMillis(0),
        }
    }

    #[test]
    fn only_enabled_sites_of_a_profile_with_cron_are_ever_due() {
        let scratch = Scratch::new();
        let spoke = spoke(&scratch);
        let mut timetable = Timetable::default();
        timetable.read(&spoke).expect("read");
        assert_eq!(timetable.pause(now()), None, "nothing wakes it up");
        let sites = &spoke.registry.sites;
        sites
            .save(&entry("plain.example.org", "static"))
            .expect("saved");
        let mut off = entry("off.example.org", "own");
        off.enabled = false;
        sites.save(&off).expect("saved");
        let mut held = entry("held.example.org", "own");
        let run = Run::new(TaskId::generate(), Attempt::FIRST);
        held.held = Some(Held { run, to: None });
        sites.save(&held).expect("saved");
        timetable.read(&spoke).expect("read");
        assert_eq!(timetable.pause(now()), None);

        sites.save(&entry("on.example.org", "own")).expect("saved");
        timetable.read(&spoke).expect("read");
        let pause = timetable.pause(now()).expect("it is due one day");
        assert!(pause <= 900, "{pause}");
        // Whatever the time is: such that its next regular turn is not within the minute after.
        let host = "on.example.org".parse().expect("a host");
        let next = |at| timetable.rows[&host].every.next(&host, at);
        let then = (now() + 900..).find(|&at| next(at) > at + 60);
        let then = then.expect("turns are a quarter of an hour apart");
        let due = timetable.due(then).expect("it is its turn");
        assert_eq!(due.host.as_str(), "on.example.org");
        assert!(timetable.due(then).is_none(), "once");
        timetable.postpone(&due.host, then + 60);
        assert!(timetable.due(then + 59).is_none());
        assert!(timetable.due(then + 60).is_some(), "a minute later");

        timetable.postpone(&due.host, then);
        assert!(
            timetable.due(then - 900 * 100).is_none(),
            "set back by a day"
        );
        let pause = timetable.pause(then - 900 * 100).expect("it is due");
        assert!(pause <= 900, "{pause}");

        off.enabled = true;
        sites.replace(&off).expect("replaced");
        timetable.read(&spoke).expect("read");
        assert!(
            timetable.due(now() + 900).is_some(),
            "it does not rest any more"
        );
    }
}
