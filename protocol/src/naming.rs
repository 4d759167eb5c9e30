//! The names of a site besides its own: which of them serve it, which only lead to it, and which of all visitors
//! are sent to. What a change makes of them is decided here, once for the hub's record and once for the spoke's.
//!
//! ```text
//! host        the site's identity; leads to `main` where that is another name
//! main        what visitors are sent to; the host itself unless said
//! aliases     serve the site
//! redirects   lead to `main`
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::names::{HostName, SiteAlias};
use crate::task::site_names::Params;

/// A site with more is no site any more; nginx has a hash of bounded size for them.
pub const MOST: usize = 200;

/// The names of a site besides its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// What visitors are sent to, where that is not the site's own name.
    #[serde(default)]
    pub main: Option<HostName>,
    /// Those that serve the site as well.
    #[serde(default)]
    pub aliases: Vec<SiteAlias>,
    /// Those that lead to the main name.
    #[serde(default)]
    pub redirects: Vec<SiteAlias>,
}

/// How a site answers over HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Https {
    /// Not at all.
    #[default]
    Off,
    /// As over HTTP.
    On,
    /// Only so: HTTP leads there.
    Redirect,
}

impl Https {
    /// Its name, as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Redirect => "redirect",
        }
    }
}

impl std::fmt::Display for Https {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Https {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Off, Self::On, Self::Redirect];
        let found = all.into_iter().find(|https| https.as_str() == text);
        found.ok_or_else(|| "it is off, on or redirect".to_owned())
    }
}

impl Names {
    /// What visitors are sent to.
    #[must_use]
    pub fn main<'a>(&'a self, host: &'a HostName) -> &'a HostName {
        self.main.as_ref().unwrap_or(host)
    }

    /// All but the site's own.
    #[must_use]
    pub fn others(&self) -> Vec<SiteAlias> {
        let main = self.main.iter().cloned().map(SiteAlias::from);
        let rest = self.aliases.iter().chain(&self.redirects).cloned();
        rest.chain(main).collect()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self, host: &HostName) -> BTreeSet<SiteAlias> {
        let mut all = BTreeSet::from_iter(self.others());
        all.insert(host.clone().into());
        all
    }

    /// Those that lead to the main name, the site's own among them where it does.
    #[must_use]
    pub fn leading(&self, host: &HostName) -> Vec<SiteAlias> {
        let own = self.main.as_ref().map(|_| host.clone().into());
        own.into_iter().chain(self.redirects.clone()).collect()
    }

    /// What this change makes of them.
    ///
    /// # Errors
    /// A sentence about what cannot be: a name that is not there, that is named twice, or that would lead to itself.
    pub fn after(&self, change: &Params) -> Result<Self, String> {
        let host = &change.site;
        let own = SiteAlias::from(host.clone());
        named_once(change)?;
        let mut next = self.clone();
        if let Some(main) = &change.main {
            let former = next.main.replace(main.clone());
            if main == host {
                next.main = None;
            }
            next.drop(&main.clone().into());
            // The host leads to another main name by itself.
            if let Some(former) = former.filter(|former| former != main) {
                next.redirects.push(former.into());
            }
        }
        let main = SiteAlias::from(next.main(host).clone());
        for name in &change.remove {
            if *name == own {
                return Err(format!("{name} is the site's own name, and stays"));
            }
            if *name == main {
                return Err(format!(
                    "{name} is what visitors are sent to: make another name the main one first"
                ));
            }
            if !next.drop(name) {
                return Err(format!("{host} has no name {name}"));
            }
        }
        for name in change.serve.iter().filter(|name| **name != main) {
            if *name == own {
                return Err(format!("{name} leads to {main}: make it the main name"));
            }
            next.drop(name);
            next.aliases.push(name.clone());
        }
        for name in &change.redirect {
            if *name == main {
                return Err(format!("{name} cannot lead to itself"));
            }
            next.drop(name);
            if *name != own {
                next.redirects.push(name.clone());
            }
        }
        next.aliases.sort();
        next.redirects.sort();
        if next.others().len() > MOST {
            return Err(format!("a site may have {MOST} names besides its own"));
        }
        Ok(next)
    }

    /// What they are when the site itself is called otherwise; the old name leads to it still, or is given up.
    #[must_use]
    pub fn moved(&self, old: &HostName, new: &HostName, keep: bool) -> Self {
        let mut next = self.clone();
        if old == new {
            return next;
        }
        if next.main.as_ref() == Some(new) {
            next.main = None;
        }
        next.drop(&new.clone().into());
        if keep {
            next.redirects.push(old.clone().into());
            next.redirects.sort();
        }
        next
    }

    /// Takes a name out; whether it was there.
    fn drop(&mut self, name: &SiteAlias) -> bool {
        let before = self.aliases.len() + self.redirects.len();
        self.aliases.retain(|alias| alias != name);
        self.redirects.retain(|alias| alias != name);
        before != self.aliases.len() + self.redirects.len()
    }
}

fn named_once(change: &Params) -> Result<(), String> {
    let main = change.main.iter().cloned().map(SiteAlias::from);
    let lists = change.serve.iter().chain(&change.redirect);
    let all = lists.chain(&change.remove).cloned().chain(main);
    let mut seen = BTreeSet::new();
    for name in all {
        if seen.contains(&name) {
            return Err(format!("{name} is named twice: once is enough"));
        }
        seen.insert(name);
    }
    match seen.is_empty() {
        true => Err("no name is named".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<SiteAlias> {
        list.iter()
            .map(|name| name.parse().expect("a name"))
            .collect()
    }

    fn change(serve: &[&str], redirect: &[&str], remove: &[&str], main: Option<&str>) -> Params {
        Params {
            site: "example.org".parse().expect("a host"),
            serve: names(serve),
            redirect: names(redirect),
            remove: names(remove),
            main: main.map(|name| name.parse().expect("a host")),
        }
    }

    #[test]
    fn names_come_go_and_change_what_they_do() {
        let none = Names::default();
        let some = none.after(&change(
            &["b.org", "*.a.org"],
            &["c.org", "www.example.org"],
            &[],
            None,
        ));
        let some = some.expect("right");
        assert_eq!(some.aliases, names(&["*.a.org", "b.org"]));
        assert_eq!(some.redirects, names(&["c.org", "www.example.org"]));
        let moved = some.after(&change(&["c.org"], &["b.org"], &["*.a.org"], None));
        let moved = moved.expect("right");
        assert_eq!(moved.aliases, names(&["c.org"]));
        assert_eq!(moved.redirects, names(&["b.org", "www.example.org"]));
        let again = moved.after(&change(&["c.org"], &["b.org"], &[], None));
        assert_eq!(again, Ok(moved), "what is so already stays so");
    }

    #[test]
    fn another_main_name_has_the_one_before_lead_to_it() {
        let host: HostName = "example.org".parse().expect("a host");
        let www = Names::default().after(&change(&[], &[], &[], Some("www.example.org")));
        let www = www.expect("right");
        assert_eq!(www.main(&host).as_str(), "www.example.org");
        assert_eq!(www.leading(&host), names(&["example.org"]));
        assert_eq!(www.all(&host).len(), 2);
        let third = www.after(&change(&[], &[], &[], Some("a.org")));
        let third = third.expect("right");
        assert_eq!(
            third.leading(&host),
            names(&["example.org", "www.example.org"])
        );
        let back = third.after(&change(&[], &[], &["a.org"], Some("example.org")));
        let back = back.expect("right");
        assert_eq!(back.main, None);
        assert_eq!(back.leading(&host), names(&["www.example.org"]));
    }

    #[test]
    fn a_site_of_another_name_has_the_old_one_lead_to_it_or_gives_it_up() {
        let (old, new): (HostName, HostName) = (
            "example.org".parse().expect("a host"),
            "www.example.org".parse().expect("a host"),
        );
        let some = Names::default().after(&change(
            &["a.org"],
            &["b.org"],
            &[],
            Some("www.example.org"),
        ));
        let some = some.expect("right");
        let kept = some.moved(&old, &new, true);
        assert_eq!(kept.main, None);
        assert_eq!(kept.aliases, names(&["a.org"]));
        assert_eq!(kept.redirects, names(&["b.org", "example.org"]));
        let gone = some.moved(&old, &"a.org".parse().expect("a host"), false);
        assert_eq!(gone.main(&old), &new, "visitors are sent where they were");
        assert!(gone.aliases.is_empty() && gone.redirects == names(&["b.org"]));
        assert_eq!(some.moved(&old, &old, true), some);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_name() {
        let www = Names::default().after(&change(&["a.org"], &[], &[], Some("www.example.org")));
        let www = www.expect("right");
        for (wrong, why) in [
            (change(&[], &[], &[], None), "no name"),
            (change(&["b.org"], &["b.org"], &[], None), "twice"),
            (change(&[], &[], &["b.org"], None), "no name b.org"),
            (change(&[], &[], &["example.org"], None), "own name"),
            (change(&[], &[], &["www.example.org"], None), "sent to"),
            (change(&["example.org"], &[], &[], None), "leads to"),
            (change(&[], &["www.example.org"], &[], None), "itself"),
        ] {
            let told = www.after(&wrong).expect_err(why);
            assert!(told.contains(why), "{told}");
        }
        let many: Vec<String> = (0..=MOST).map(|n| format!("n{n}.org")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(www.after(&change(&many, &[], &[], None)).is_err());
    }
}
