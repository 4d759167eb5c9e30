//! What of the world a scenario may change: the rest must come out of it as it was.

use kolga_protocol::task::Kind;

use super::{Scenario, backups};

/// At the end of a database's name: an underscore and ten of a hash.
const DIGITS: usize = 11;

impl Scenario {
    /// Tells whether a thing in the world is this scenario's to change. A world has thousands of things, so
    /// what is looked for is put together once.
    pub fn owns(self) -> impl Fn(&str) -> bool {
        // One that a task makes a second database for has that one's name too, but for the digits at the end.
        let stem = |name: String| match self.kind {
            Kind::SiteRestore => name[..name.len() - DIGITS].to_owned(),
            _ => name,
        };
        let (host, database) = (self.host(), self.database().map(stem));
        let is_build = self.is_a_platform();
        let (keeps_trash, own_pool) = (self.keeps_trash(), self.has_its_own_pool());
        let makes = [Kind::SiteBackup, Kind::SiteHold];
        let is_backup = makes.contains(&self.kind) || self.is_deletion_with_backup();
        let is_backup = is_backup || self.removes_backups();
        let extracts = self.kind == Kind::BackupExtract;
        let stems = match self.kind {
            Kind::SiteMigrate | Kind::SiteClone => self.database_stems(),
            _ => Vec::new(),
        };
        // The site that is there is none of what a copy may change.
        let (host, database) = match (self.kind, self.new_host()) {
            (Kind::SiteClone, Some(new)) => (new, None),
            _ => (host, database),
        };
        // In grants the underscores of a database's name are escaped.
        let escaped = database.as_deref().map(|name| name.replace('_', "\\_"));
        move |name| {
            let named = |wanted: &Option<String>| wanted.as_ref().is_some_and(|w| name.contains(w));
            name.contains(&host)
                || named(&database)
                || named(&escaped)
                || stems.iter().any(|stem| name.contains(stem))
                || is_backup && name == backups::SNAPSHOTS
                || is_build && name.contains("/try")
                || extracts && name.contains(&format!("/{}", backups::EXTRACTED))
                || (own_pool || self.kind == Kind::SitePool) && name.contains("/state/pools/")
                || keeps_trash && (name.contains("/.trash") || name.contains("/trash/"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_owns_its_own_things_and_no_neighbours() {
        let install = Scenario {
            kind: Kind::SiteInstall,
            profile: Some("php"),
        };
        let owns = install.owns();
        let database = install.database().expect("PHP sites have one");
        assert!(owns("file /s/php.kolga.test/docroot"));
        assert!(owns(&format!("table {database}.x")));
        let escaped = database.replace('_', "\\_");
        assert!(owns(&format!("grant GRANT ALL ON `{escaped}`.* TO x")));
        assert!(!owns("file /s/neighbour.kolga.test/docroot"));
        assert!(!owns("file /s"));
    }
}
