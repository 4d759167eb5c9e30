//! Kinds of sites, as data: how a static site, a WordPress, … is laid out, configured, installed and
//! checked. A profile is a folder with a `profile.toml` ([`manifest`]) and templates ([`template`]).
//!
//! `load` reads the built-in ones and those in the operator's folders, whole and once, at start; the
//! steps of `tasks::site_install` and `tasks::platform_build` do what they say.

mod built_in;
mod check;
#[cfg(test)]
mod drupal;
mod engines;
mod load;
pub mod manifest;
#[cfg(test)]
mod over_tls;
mod place;
mod tables;
pub mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kolga_protocol::names::{Engine, HostName, OptionName, OptionValue, ProfileName};

pub use built_in::built_in_names;
pub use engines::Engines;
pub use load::{Profiles, read};
pub use manifest::{Manifest, WebAccess};
pub use place::{Mode, Place};
pub use tables::Tables;

/// One kind of site, checked: every file that it names is there and every template renders.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What `profile.toml` says.
    pub manifest: Manifest,
    /// Where it was found, for messages; `None` when it is built in.
    pub folder: Option<PathBuf>,
    /// Its files by their path within the folder.
    files: BTreeMap<String, Vec<u8>>,
    /// For which servers its settings name `database.ca_file`.
    tell_authority: Vec<Engine>,
}

/// Why an operator's options do not fit the profile.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// No such options.
    #[error("profile {profile} has no option {}; it knows {}", join(.unknown), join(.known))]
    Unknown {
        /// The profile.
        profile: ProfileName,
        /// What was given.
        unknown: BTreeSet<OptionName>,
        /// What there is.
        known: BTreeSet<OptionName>,
    },
    /// The profile cannot do without them.
    #[error("profile {profile} needs the option {}", join(.missing))]
    Missing {
        /// The profile.
        profile: ProfileName,
        /// What was not given.
        missing: BTreeSet<OptionName>,
    },
    /// A default value cannot be made.
    #[error("the default of option {option} of profile {profile} cannot be made")]
    Default {
        /// The profile.
        profile: ProfileName,
        /// The option.
        option: OptionName,
        /// Why.
        #[source]
        source: anyhow::Error,
    },
}

fn join(names: &BTreeSet<OptionName>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<&str> = names.iter().map(OptionName::as_str).collect();
    names.join(", ")
}

impl Profile {
    /// A file of the profile, which the check at start has found to be there.
    ///
    /// # Errors
    /// When a caller asks for what the manifest does not name.
    pub fn file(&self, place: &Place) -> anyhow::Result<&[u8]> {
        self.files
            .get(place.as_str())
            .map(Vec::as_slice)
            .ok_or_else(|| anyhow::anyhow!("profile {} has no file {place}", self.manifest.name))
    }

    /// The text of a file of the profile.
    ///
    /// # Errors
    /// When it is not there or not UTF-8.
    pub fn text(&self, place: &Place) -> anyhow::Result<&str> {
        Ok(std::str::from_utf8(self.file(place)?)?)
    }

    /// Whether its sites can have their data in such a server that is spoken to over TLS alone: their settings tell the
    /// authority that has signed its certificate.
    #[must_use]
    pub fn has_it_over_tls(&self, engine: Engine) -> bool {
        self.tell_authority.contains(&engine)
    }

    /// The operator's choices for one site, completed by the profile's defaults.
    ///
    /// # Errors
    /// [`OptionError`] when something is missing or not known.
    pub fn complete_options(
        &self,
        host: &HostName,
        given: &BTreeMap<OptionName, OptionValue>,
    ) -> Result<BTreeMap<OptionName, OptionValue>, OptionError> {
        let profile = self.manifest.name.clone();
        let rules = &self.manifest.options;
        let unknown: BTreeSet<_> = given
            .keys()
            .filter(|name| !rules.contains_key(*name))
            .cloned()
            .collect();
        if !unknown.is_empty() {
            let known = rules.keys().cloned().collect();
            return Err(OptionError::Unknown {
                profile,
                unknown,
                known,
            });
        }
        let mut complete = given.clone();
        let mut missing = BTreeSet::new();
        for (name, rule) in rules {
            if complete.contains_key(name) {
                continue;
            }
            match &rule.default {
                Some(default) => {
                    let value = template::option_default(default, host)
                        .and_then(|text| Ok(text.parse::<OptionValue>()?))
                        .map_err(|source| OptionError::Default {
                            profile: profile.clone(),
                            option: name.clone(),
                            source,
                        })?;
                    complete.insert(name.clone(), value);
                }
                None if rule.required => {
                    missing.insert(name.clone());
                }
                None => {}
            }
        }
        if missing.is_empty() {
            Ok(complete)
        } else {
            Err(OptionError::Missing { profile, missing })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(given: &[(&str, &str)]) -> BTreeMap<OptionName, OptionValue> {
        given
            .iter()
            .map(|(name, value)| {
                let name = name.parse().expect("a name");
                (name, value.parse().expect("a value"))
            })
            .collect()
    }

    fn wordpress() -> Profile {
        let name = "wordpress".parse().expect("a name");
        Profiles::load(&[])
            .get(&name)
            .expect("it is built in")
            .clone()
    }

    #[test]
    fn defaults_fill_what_the_operator_left_open() {
        let host = "www.example.org".parse().expect("a host");
        let complete = wordpress()
            .complete_options(&host, &options(&[("title", "A \"fine\" one")]))
            .expect("nothing is missing");
        assert_eq!(
            complete,
            options(&[
                ("title", "A \"fine\" one"),
                ("admin_user", "admin"),
                ("admin_email", "admin@www.example.org"),
                ("table_prefix", "wp_"),
            ])
        );
    }

    #[test]
    fn every_built_in_profile_can_have_its_database_over_tls_and_one_that_does_not_say_so_cannot() {
        for profile in Profiles::load(&[]).usable() {
            let name = &profile.manifest.name;
            for engine in profile.manifest.needs.database.all() {
                assert!(profile.has_it_over_tls(engine), "{name}, {engine}");
            }
        }
        let mut files = wordpress().files;
        let settings = files.get_mut("settings.php").expect("there");
        let text = String::from_utf8(std::mem::take(settings)).expect("text");
        *settings = text.replace("database.ca_file|php", "'x'|php").into_bytes();
        let name = "wordpress".parse().expect("a name");
        let other = check::check(&name, None, files).expect("it is right");
        assert!(!other.has_it_over_tls(Engine::Mariadb));
    }

    #[test]
    fn an_unknown_option_is_refused_with_those_that_exist() {
        let host = "www.example.org".parse().expect("a host");
        let error = wordpress()
            .complete_options(&host, &options(&[("titel", "x")]))
            .expect_err("there is none");
        assert_eq!(
            error.to_string(),
            "profile wordpress has no option titel; it knows admin_email, admin_user, table_prefix, title"
        );
    }
}
