//! The functions of an administrator's (deploy/postgresql.sql), by which roles are made, mended and dropped: whether they are
//! there, and those of this release. An update of Kolga brings a new file and cannot run it, since the worker's account is
//! no administrator; so who asks for them looks first, and `kolga-worker check` compares them with the file.

use std::collections::BTreeMap;

use super::{HOME, Postgresql};

/// The file that an administrator runs, as this release has it.
const FILE: &str = include_str!("../../../../deploy/postgresql.sql");
/// How a function begins there, its body, and how that ends.
const CREATE: &str = "\nCREATE OR REPLACE FUNCTION kolga.";
const BODY: &str = "AS $$";
const END: &str = "$$;";
/// `insufficient_privilege`
const MAY_NOT: &str = "42501";

/// One that the worker calls, as PostgreSQL names it.
pub type Function = &'static str;

/// Makes a role.
pub const MAKE_ROLE: Function = "kolga.make_role(text,text,text)";
/// Drops one.
pub const DROP_ROLE: Function = "kolga.drop_role(text,text)";
/// Lets one in, or keeps it out.
pub const LET_IN: Function = "kolga.let_in(text,boolean)";
/// Says whether a role and its database can be mended.
pub const WHY_NOT_MEND: Function = "kolga.why_not_mend(text,text)";
/// Mends them.
pub const MEND: Function = "kolga.mend(text,text,text,text)";
/// Takes that back.
pub const UNMEND: Function = "kolga.unmend(text,text)";
/// All of them.
pub const ALL: &[Function] = &[MAKE_ROLE, DROP_ROLE, LET_IN, WHY_NOT_MEND, MEND, UNMEND];

impl Postgresql {
    /// For what these are needed for.
    ///
    /// # Errors
    /// Which the worker's account cannot call, and what to do.
    pub async fn needs(&self, functions: &[Function]) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        let missing: Result<Vec<String>, sqlx::Error> = sqlx::query_scalar(
            "SELECT wanted FROM unnest($1::text[]) wanted
              WHERE NOT coalesce(has_function_privilege(to_regprocedure(wanted), 'EXECUTE'), false)",
        )
        .bind(functions)
        .fetch_all(&mut connection)
        .await;
        let missing = match missing {
            Ok(missing) => missing,
            // Not even what is in the schema can be asked for.
            Err(error) if super::code_of(&error).as_deref() == Some(MAY_NOT) => {
                functions.iter().map(|&it| it.to_owned()).collect()
            }
            Err(error) => return Err(error.into()),
        };
        anyhow::ensure!(
            missing.is_empty(),
            "PostgreSQL lacks {} in the database {HOME}, or does not let {} call it: {}",
            missing.join(", "),
            self.user,
            self.remedy()
        );
        Ok(())
    }

    /// Whether all of them are there, and as this release has them.
    ///
    /// # Errors
    /// Which are not, and what to do.
    pub async fn functions(&self) -> anyhow::Result<String> {
        self.needs(ALL).await?;
        let mut connection = self.connect().await?;
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT proname::text, prosrc FROM pg_proc WHERE pronamespace = 'kolga'::regnamespace",
        )
        .fetch_all(&mut connection)
        .await?;
        let found: BTreeMap<String, String> = found.into_iter().collect();
        let older: Vec<&str> = shipped()
            .filter(|(name, body)| found.get(*name).is_none_or(|it| it != body))
            .map(|(name, _)| name)
            .collect();
        anyhow::ensure!(
            older.is_empty(),
            "{} in the database {HOME} {} not what this release brings: {}",
            older.join(", "),
            if older.len() == 1 { "is" } else { "are" },
            self.remedy()
        );
        Ok("as this release brings them".to_owned())
    }

    /// What an administrator does about them.
    pub(super) fn remedy(&self) -> String {
        format!(
            "an administrator of the server runs there, as after each update of Kolga: psql -d postgres -v account={} -f \
             deploy/postgresql.sql",
            self.user
        )
    }
}

/// Names and bodies of those in the file.
fn shipped() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILE.split(CREATE).skip(1).filter_map(|text| {
        let (name, _) = text.split_once('(')?;
        let (_, body) = text.split_once(BODY)?;
        Some((name, body.split_once(END).map_or(body, |(body, _)| body)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_every_function_that_is_called_with_as_many_parameters() {
        let shipped: BTreeMap<&str, &str> = shipped().collect();
        for function in ALL {
            let (name, types) = function.split_once('(').expect("parameters");
            let name = name.strip_prefix("kolga.").expect("ours");
            let body = shipped
                .get(name)
                .unwrap_or_else(|| panic!("{name} is missing"));
            assert!(
                !body.trim().is_empty() && !body.contains("$$"),
                "{name}: {body}"
            );
            let head = FILE.split(&format!("FUNCTION kolga.{name}(")).nth(1);
            let head = head
                .and_then(|rest| rest.split(')').next())
                .expect("a head");
            let told: Vec<&str> = head
                .split(", ")
                .filter_map(|it| it.split(' ').next_back())
                .collect();
            assert_eq!(format!("{})", told.join(",")), types, "{name}");
        }
    }
}
