//! Which servers will do: a MariaDB that notes a comment on each database, by which the worker knows those that it has made, and
//! keeps accounts in `mysql.global_priv`. MySQL itself, and a MariaDB before 10.5, have neither.

/// Since when a database has a comment (MariaDB Server's documentation, "CREATE DATABASE").
const OLDEST: (u32, u32) = (10, 5);

/// Refuses what is none of these, by what `SELECT VERSION()` says.
///
/// # Errors
/// When it is another server, or too old.
pub(super) fn refuse_other(version: &str) -> anyhow::Result<()> {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u32>);
    let number = (numbers.next(), numbers.next());
    let (Some(Ok(major)), Some(Ok(minor))) = number else {
        anyhow::bail!("a server that calls its version {version:?}, which is none of MariaDB's");
    };
    let (what, is_mariadb) = match version.contains("MariaDB") {
        true => ("MariaDB", true),
        false => ("MySQL", false),
    };
    anyhow::ensure!(
        is_mariadb && (major, minor) >= OLDEST,
        "{what} {version} will not do: Kolga knows the databases that it has made by their comments, which only MariaDB {}.{} \
         and later have; use one of these (Debian's package mariadb-server)",
        OLDEST.0,
        OLDEST.1
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mariadb_that_is_new_enough_will_do_and_neither_an_older_one_nor_a_mysql() {
        for good in [
            "10.11.6-MariaDB-0+deb12u1-log",
            "10.5.0-MariaDB",
            "11.4.2-MariaDB-ubu2404",
        ] {
            refuse_other(good).expect(good);
        }
        for (bad, said) in [
            ("10.4.34-MariaDB", "MariaDB 10.4.34-MariaDB will not do"),
            ("5.5.68-MariaDB", "MariaDB 5.5.68-MariaDB will not do"),
            (
                "8.0.36-0ubuntu0.22.04.1",
                "MySQL 8.0.36-0ubuntu0.22.04.1 will not do",
            ),
            ("8.4.3", "MySQL 8.4.3 will not do"),
            ("", "which is none of MariaDB's"),
            ("TiDB", "which is none of MariaDB's"),
        ] {
            let error = refuse_other(bad).expect_err(bad).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
