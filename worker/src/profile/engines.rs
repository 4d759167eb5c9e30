//! Which database servers a profile's sites can have their data in: nothing, one, or either. What a manifest says as
//! `true`, a name, or a list of names.

use kolga_protocol::names::Engine;
use serde::Deserialize;

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Said")]
pub struct Engines {
    mariadb: bool,
    postgresql: bool,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "needs.database is true, \"mariadb\", \"postgresql\", or a list of those"
)]
enum Said {
    Needed(bool),
    One(Engine),
    Either(Vec<Engine>),
}

impl TryFrom<Said> for Engines {
    type Error = String;

    fn try_from(said: Said) -> Result<Self, String> {
        let named = match said {
            Said::Needed(false) => return Ok(Self::default()),
            Said::Needed(true) => vec![Engine::Mariadb],
            Said::One(engine) => vec![engine],
            Said::Either(engines) => engines,
        };
        if named.is_empty() {
            return Err("needs.database names no database: leave it out".to_owned());
        }
        Ok(Self {
            mariadb: named.contains(&Engine::Mariadb),
            postgresql: named.contains(&Engine::Postgresql),
        })
    }
}

impl Engines {
    /// Whether there is a database at all.
    #[must_use]
    pub fn any(self) -> bool {
        self.all().next().is_some()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn has(self, engine: Engine) -> bool {
        match engine {
            Engine::Mariadb => self.mariadb,
            Engine::Postgresql => self.postgresql,
        }
    }

    /// All of them, the one first that a site gets where both are as good.
    pub fn all(self) -> impl Iterator<Item = Engine> {
        Engine::ALL
            .into_iter()
            .filter(move |&engine| self.has(engine))
    }
}

impl std::fmt::Display for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let titles: Vec<&str> = self.all().map(Engine::title).collect();
        f.write_str(&titles.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Needs {
        database: Engines,
    }

    fn read(text: &str) -> Result<Vec<Engine>, String> {
        let needs: Result<Needs, _> = toml::from_str(&format!("database = {text}"));
        let needs = needs.map_err(|error| error.message().to_owned())?;
        Ok(needs.database.all().collect())
    }

    #[test]
    fn a_profile_says_true_a_name_or_several() {
        use Engine::{Mariadb, Postgresql};
        for (text, wanted) in [
            ("false", vec![]),
            ("true", vec![Mariadb]),
            ("\"mariadb\"", vec![Mariadb]),
            ("\"postgresql\"", vec![Postgresql]),
            ("[\"postgresql\", \"mariadb\"]", vec![Mariadb, Postgresql]),
        ] {
            assert_eq!(read(text), Ok(wanted), "{text}");
        }
        for text in ["\"oracle\"", "[\"sqlite\"]", "3"] {
            let error = read(text).expect_err("there is no such");
            assert!(error.contains("needs.database is true"), "{error}");
        }
        assert!(read("[]").expect_err("none").contains("leave it out"));
    }
}
