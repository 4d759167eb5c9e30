//! PHP for sites: the php-fpm that they share, and those that they can have to themselves: `[php]`, `[pools]`.

use std::path::PathBuf;

use serde::Deserialize;

/// PHP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Php {
    /// The command line interpreter.
    #[serde(default = "php_binary")]
    pub binary: PathBuf,
    /// The socket of the php-fpm that sites share; Debian's of the newest version when none is named.
    pub fpm_socket: Option<PathBuf>,
    /// As whom that one runs; as `sites.web_user`, like nginx, when nobody is named.
    pub user: Option<String>,
}

/// Pools that sites can have to themselves: php-fpms with a user each, which root has made. See `crate::pools`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pools {
    /// Holds of each `<user>.sock` and `<user>/tmp`. Nobody but root may write there.
    pub folder: PathBuf,
    /// Their users.
    pub users: Vec<String>,
}

impl Pools {
    /// What makes no sense, beside a web server of this user and PHP that sites share of that one.
    pub(super) fn problems(&self, web_user: &str, php_user: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let is_user = |name: &String| {
            name.len() <= 32
                && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
                && name.bytes().all(plain)
        };
        if !self.users.iter().all(is_user) {
            problems.push("pools.users must be names of users: a-z, 0-9, - and _".into());
        }
        for (number, user) in self.users.iter().enumerate() {
            if self.users[..number].contains(user)
                || [web_user, php_user, "root"].contains(&user.as_str())
            {
                problems.push(format!(
                    "pools.users: {user} has something else to do already"
                ));
            }
        }
        // Or every site that shares a pool could read what nginx may read of the others.
        if web_user == php_user {
            problems.push(
                "pools are worth something only where the php-fpm that sites share has another user than nginx: see \
                 php.user"
                    .into(),
            );
        }
        problems
    }
}

fn php_binary() -> PathBuf {
    PathBuf::from("/usr/bin/php")
}
