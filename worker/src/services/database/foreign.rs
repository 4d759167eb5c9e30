//! A database that is not of Kolga's making, told by an application's settings: how to get at it, and what is in it.
//! [`crate::import`] makes an [`Account`]; the two services look into its database and dump it as that account and no other.

use super::Service;
use crate::cx::Cx;
use crate::files::Dir;
use crate::secrets::Secret;
use crate::services::database::Dumped;

/// How an application gets at its database. Does not print its password.
#[derive(Clone, Debug)]
pub struct Account {
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    pub(in crate::services) password: Secret,
}

/// What is in a database.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// Bytes of its tables, with their indexes.
    pub bytes: u64,
    /// Its tables and views.
    pub tables: Vec<String>,
    /// What of it does not come along, or not as it is.
    pub remarks: Vec<String>,
    /// What cannot be copied.
    pub problems: Vec<String>,
}

/// Where in a database a text stands: in the column `value` of the row of `table` whose `key` is `is`.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// The table.
    pub table: &'a str,
    /// The column that names the row.
    pub key: &'a str,
    /// What it says there.
    pub is: &'a str,
    /// The column with the text.
    pub value: &'a str,
}

impl Account {
    /// From what settings say.
    ///
    /// # Errors
    /// What of it no account of either server can be.
    pub fn new(database: String, user: String, password: String) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_$-".contains(&b);
        let is_name = (1..=64).contains(&database.len())
            && database.bytes().all(plain)
            && !database.starts_with('-');
        if !is_name {
            return Err("its database's name is not of letters, digits and _ $ -".to_owned());
        }
        let odd = |text: &str| text.len() > 1024 || text.chars().any(char::is_control);
        if user.is_empty() || odd(&user) || odd(&password) {
            return Err("its database's user or password cannot be one".to_owned());
        }
        Ok(Self {
            database,
            user,
            password: Secret::of(password),
        })
    }
}

impl Service<'_> {
    /// Whether this host, as applications write it, is this server. They write the port of a PostgreSQL by itself; it may be
    /// empty.
    ///
    /// # Errors
    /// When they are not, in a sentence.
    pub async fn is_meant_by(self, host: &str, port: &str) -> anyhow::Result<()> {
        match self {
            Self::Mariadb(it) => it.is_meant_by(host).await,
            Self::Postgresql(it) => it.is_meant_by(host, port),
        }
    }

    /// What is in the account's database.
    ///
    /// # Errors
    /// When it is not let in.
    pub async fn look_into(self, account: &Account) -> anyhow::Result<Inside> {
        match self {
            Self::Mariadb(it) => it.look_into(account).await,
            Self::Postgresql(it) => it.look_into(account).await,
        }
    }

    /// The text at one spot of the account's database; `None` when there is no such row.
    ///
    /// # Errors
    /// When it is not let in, or there is no such table.
    pub async fn text_at(
        self,
        account: &Account,
        spot: Spot<'_>,
    ) -> anyhow::Result<Option<String>> {
        match self {
            Self::Mariadb(it) => it.text_at(account, spot).await,
            Self::Postgresql(it) => it.text_at(account, spot).await,
        }
    }

    /// Dumps the account's database as the account, as [`Service::dump`] does a site's.
    ///
    /// # Errors
    /// When there is a file already, or the program fails or is stopped.
    pub async fn dump_as(
        self,
        cx: &Cx,
        account: &Account,
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<Dumped> {
        match self {
            Self::Mariadb(it) => it.dump_as(cx, account, folder, file).await,
            Self::Postgresql(it) => it.dump_as(cx, account, folder, file).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_an_account_is_refused_and_a_password_is_not_printed() {
        let account = |database: &str, user: &str, password: &str| {
            Account::new(database.to_owned(), user.to_owned(), password.to_owned())
        };
        let good = account("wp_1-a$", "it's \"me\" \\", "s3cr'et\\").expect("an account");
        assert!(!format!("{good:?}").contains("s3cr"));
        for (database, user, password) in [
            ("", "u", "p"),
            ("--help", "u", "p"),
            ("a;b", "u", "p"),
            ("a`b", "u", "p"),
            ("a", "", "p"),
            ("a", "u\nhost=x", "p"),
            ("a", "u", "p\n[client]"),
        ] {
            assert!(account(database, user, password).is_err());
        }
    }
}
