//! What the choices of a task come to on this spoke, or why they make no sense: the server of databases, the pool, the
//! platform's code, and the services that a profile needs.
//!
//! Asked by [`Site`](super::Site) before anything is touched, and by an import for what it has found.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::{
    DATABASE_OPTION, DatabaseName, Engine, HostName, OptionName, OptionValue, PlatformName,
};

use crate::layout;
use crate::pools;
use crate::profile::Profile;
use crate::spoke::Spoke;

/// Whether a site is to have a pool of its own, and the options that are its profile's.
pub(super) fn wanted_pool(
    options: &BTreeMap<OptionName, OptionValue>,
    profile: &Profile,
) -> anyhow::Result<(bool, BTreeMap<OptionName, OptionValue>)> {
    let (own, rest) = pools::wish(options)?;
    anyhow::ensure!(
        !own || profile.manifest.needs.php,
        "sites of profile {} run no PHP: there is nothing to have a pool of its own for",
        profile.manifest.name
    );
    Ok((own, rest))
}

/// All options of a site, its pool's among them.
pub(super) fn complete_options(
    profile: &Profile,
    host: &HostName,
    given: &BTreeMap<OptionName, OptionValue>,
    own: bool,
) -> anyhow::Result<BTreeMap<OptionName, OptionValue>> {
    let mut options = profile.complete_options(host, given)?;
    if own {
        options.insert(pools::OPTION.parse()?, pools::OWN.parse()?);
    }
    Ok(options)
}

/// The code of the platform that the profile needs; `None` where it needs none.
pub(super) fn needed_code(
    spoke: &Spoke,
    platform: Option<&PlatformName>,
    profile: &Profile,
) -> anyhow::Result<Option<PathBuf>> {
    let name = &profile.manifest.name;
    match platform {
        Some(platform) if profile.manifest.needs.platform => {
            code_of(spoke, platform, profile).map(Some)
        }
        Some(platform) => {
            anyhow::bail!("sites of profile {name} use no platform: leave {platform} out")
        }
        None if profile.manifest.needs.platform => anyhow::bail!(
            "sites of profile {name} need a platform: build one with platform.build, then name it"
        ),
        None => Ok(None),
    }
}

/// The name for a new site's database: the site's own, or another one while that lies in the trash.
///
/// # Errors
/// When the trash cannot be looked at.
pub fn free_database(spoke: &Spoke, host: &HostName, run: Run) -> anyhow::Result<DatabaseName> {
    let name = DatabaseName::for_site(host);
    match spoke.trash.holds_database(&name)? {
        true => Ok(DatabaseName::beside(host, run)),
        false => Ok(name),
    }
}

/// Refuses when a service that sites of this profile need is not there.
pub(super) fn need_services(
    spoke: &Spoke,
    profile: &Profile,
    engine: Engine,
) -> anyhow::Result<()> {
    let needs = profile.manifest.needs;
    if needs.php {
        spoke.need_php()?;
    }
    if needs.database.any() {
        anyhow::ensure!(
            needs.database.has(engine),
            "sites of profile {} have their data in {}, not in {}",
            profile.manifest.name,
            needs.database,
            engine.title()
        );
        let other = needs.database.all().find(|it| spoke.database(*it).is_ok());
        spoke.database(engine).with_context(|| match other {
            Some(other) => format!(
                "the site would have its data in {}; {DATABASE_OPTION}={other} puts them into this spoke's {}",
                engine.title(),
                other.title()
            ),
            None => "the site needs a database".to_owned(),
        })?;
    }
    Ok(())
}

/// Refuses a site whose settings could not tell its application with whose certificate the database server has to come.
pub(super) fn refuse_in_the_clear(
    spoke: &Spoke,
    profile: &Profile,
    engine: Engine,
) -> anyhow::Result<()> {
    let manifest = &profile.manifest;
    if !manifest.needs.database.any() || profile.has_it_over_tls(engine) {
        return Ok(());
    }
    let service = spoke.database(engine)?;
    anyhow::ensure!(
        service.authority().is_none(),
        "sites of profile {} cannot have their data in {}, which is reached over TLS alone ({engine}.remote.ca_file): the \
         profile's settings do not say `database.ca_file`, so its application could not know the server's certificate",
        manifest.name,
        engine.title()
    );
    Ok(())
}

/// In which server a new site is to have its data, and what its options are besides: the one that was asked for by the
/// option `database`, or the first that its profile takes. What this spoke has plays no part in it, so that the same options
/// mean the same on each, and whoever has the options knows the server.
///
/// # Errors
/// When that is asked for which its profile does not take.
pub fn chosen(
    profile: &Profile,
    given: &BTreeMap<OptionName, OptionValue>,
) -> anyhow::Result<(Engine, BTreeMap<OptionName, OptionValue>)> {
    let (name, needs) = (&profile.manifest.name, profile.manifest.needs.database);
    let is_choice = |option: &OptionName| option.as_str() == DATABASE_OPTION;
    if !needs.any() {
        // What a profile without a database calls so is its own.
        let is_own = profile.manifest.options.keys().any(is_choice);
        anyhow::ensure!(
            is_own || !given.keys().any(is_choice),
            "sites of profile {name} have no database: leave `{DATABASE_OPTION}` out"
        );
        return Ok((Engine::default(), given.clone()));
    }
    let asked = given.iter().find(|(option, _)| is_choice(option));
    let options = given.iter().filter(|(option, _)| !is_choice(option));
    let options = options.map(|(option, value)| (option.clone(), value.clone()));
    let engine = match asked {
        Some((_, value)) => {
            let engine: Engine = value.as_str().parse().map_err(anyhow::Error::msg)?;
            anyhow::ensure!(
                needs.has(engine),
                "sites of profile {name} have their data in {needs} and nowhere else: leave {DATABASE_OPTION}={engine} out"
            );
            engine
        }
        None => needs.all().next().unwrap_or_default(),
    };
    Ok((engine, options.collect()))
}

/// That platform's code, if it is for such sites.
fn code_of(spoke: &Spoke, platform: &PlatformName, profile: &Profile) -> anyhow::Result<PathBuf> {
    let entry = spoke.registry.platforms.load(platform)?.with_context(|| {
        format!("there is no platform {platform} on this spoke: build it with platform.build")
    })?;
    let name = &profile.manifest.name;
    anyhow::ensure!(
        entry.profile == *name,
        "platform {platform} is for sites of profile {}, not {name}",
        entry.profile
    );
    Ok(layout::code(&spoke.config, platform))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::testing::{self, Scratch};

    #[test]
    fn a_database_is_that_which_is_asked_for_or_the_first_that_the_profile_takes() {
        let scratch = Scratch::new();
        let postgresql = config::Postgresql {
            socket: Some("/p".into()),
            port: 5432,
            remote: None,
            user: "kolga".into(),
        };
        let mut configured = testing::config(scratch.path());
        configured.postgresql = Some(postgresql);
        let spoke = testing::context(configured).0.spoke;
        let choose = |profile: &str, value: Option<&str>| {
            let profile = spoke.profiles.get(&profile.parse().expect("a name"));
            let given = value.map(|value| {
                let name = DATABASE_OPTION.parse().expect("a name");
                (name, value.parse().expect("a value"))
            });
            let given = given.into_iter().collect();
            let chosen = chosen(profile.expect("built in"), &given);
            chosen.map(|(engine, options)| {
                assert!(options.is_empty(), "it is no option of the profile's");
                engine
            })
        };
        for (profile, value, wanted) in [
            ("php", None, Engine::Mariadb),
            ("php", Some("mariadb"), Engine::Mariadb),
            ("php", Some("postgresql"), Engine::Postgresql),
            ("wordpress", None, Engine::Mariadb),
        ] {
            let engine = choose(profile, value).expect("a choice");
            assert_eq!(engine, wanted, "{profile} {value:?}");
        }
        for (profile, value, why) in [
            ("static", "mariadb", "have no database"),
            ("wordpress", "postgresql", "in MariaDB and nowhere else"),
            ("php", "oracle", "mariadb or postgresql"),
        ] {
            let error = choose(profile, Some(value)).expect_err("no choice");
            assert!(error.to_string().contains(why), "{error}");
        }
        // Where the server is not there that it would be, the other is named.
        let php = spoke.profiles.get(&"php".parse().expect("a name"));
        let mut php = php.expect("built in").clone();
        php.manifest.needs.php = false;
        let error = need_services(&spoke, &php, Engine::Mariadb).expect_err("no MariaDB");
        let error = format!("{error:#}");
        assert!(
            error.contains("database=postgresql") && error.contains("no [mariadb]"),
            "{error}"
        );
        need_services(&spoke, &php, Engine::Postgresql).expect("it is there");
    }
}
