//! From a template to a text. Nothing is escaped by itself and nothing undefined is let through; three
//! audiences get three sets of values:
//!
//! - nginx ([`Vhost`]): only types that are allow-lists, so that no free text can reach its configuration.
//! - files that anybody on the site may read ([`PublicFile`]): options too, but no secret.
//! - settings ([`Settings`]): the database's account and the site's secrets too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use kolga_protocol::names::{DatabaseName, Engine, HostName, OptionName, OptionValue, SiteAlias};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// What every PHP vhost tells php-fpm, so that a profile need not spell it out.
const FASTCGI_PARAMS: &str = include_str!("../../profiles/fastcgi.conf");

/// An absolute path of letters, digits and `/ . _ -`, as it may stand in nginx's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PlainPath(String);

impl PlainPath {
    /// The checked path.
    ///
    /// # Errors
    /// When it holds anything else.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        path.to_str()
            .filter(|text| {
                text.starts_with('/')
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
            })
            .map(|text| Self(text.to_owned()))
            .ok_or_else(|| {
                anyhow::anyhow!(
                    "{} cannot stand in nginx's configuration: use letters, digits and / . _ -",
                    path.display()
                )
            })
    }
}

impl std::fmt::Display for PlainPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where nginx listens, as its `listen` directive says it.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Listen(String);

impl Listen {
    /// Those for TLS.
    #[must_use]
    pub fn tls_on(addresses: &[SocketAddr], port: u16) -> Vec<Self> {
        let all = Self::on(addresses, port).into_iter();
        all.map(|Self(listen)| Self(format!("{listen} ssl")))
            .collect()
    }

    /// The addresses that the configuration names, or every address of this machine, of both families
    /// where it has both.
    #[must_use]
    pub fn on(addresses: &[SocketAddr], port: u16) -> Vec<Self> {
        if !addresses.is_empty() {
            return addresses
                .iter()
                .map(|address| Self(address.to_string()))
                .collect();
        }
        let mut all = vec![Self(port.to_string())];
        if Path::new("/proc/net/if_inet6").exists() {
            all.push(Self(format!("[::]:{port}")));
        }
        all
    }
}

/// What a vhost's template may speak of.
#[derive(Clone, Debug, Serialize)]
pub struct Vhost {
    /// The site's main name.
    pub host: HostName,
    /// Its other names that serve it.
    pub aliases: Vec<SiteAlias>,
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Lines that name the certificate, where it listens for TLS too.
    pub tls: String,
    /// The site's folder.
    pub site: PlainPath,
    /// The platform's code, where there is one.
    pub platform: Option<PlainPath>,
    /// The settings, where there are any.
    pub settings: Option<PlainPath>,
    /// php-fpm's socket, where the site needs PHP.
    pub fpm_socket: Option<PlainPath>,
    /// Lines that the operator of the spoke wants in the site's `server` block besides; mostly none.
    pub snippet: String,
}

/// What the vhost of a page that stands in for a site may speak of.
#[derive(Clone, Debug, Serialize)]
pub struct Cover {
    /// The site.
    pub host: HostName,
    /// Its other names.
    pub aliases: Vec<SiteAlias>,
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Lines that name the certificate, where it listens for TLS too.
    pub tls: String,
    /// The operator's page, in place of the built-in one.
    pub page: Option<PlainPath>,
}

/// What the server of names that only lead to a site may speak of.
#[derive(Clone, Debug, Serialize)]
pub struct Redirect {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Lines that name the certificate, where it listens for TLS.
    pub tls: String,
    /// The names.
    pub names: Vec<SiteAlias>,
    /// The site's address, without a slash at the end.
    pub to: String,
}

/// A database's account.
#[derive(Clone, Serialize)]
pub struct Database {
    /// Which server it is, as `type`.
    #[serde(rename = "type")]
    pub engine: Engine,
    /// The server's socket; none when it is on another machine, or a PostgreSQL.
    pub socket: Option<String>,
    /// The name by which PHP reaches the server: `localhost`, or its address.
    pub host: String,
    /// Its port, when it is on another machine, or a PostgreSQL.
    pub port: Option<u16>,
    /// All of that in one, as most applications have it: `localhost:/socket` or `address:port`.
    pub server: String,
    /// The database.
    pub name: DatabaseName,
    /// The user, who has the same name.
    pub user: DatabaseName,
    /// The user's password.
    pub password: String,
    /// The file with the authority that has signed the server's certificate, where it is to be spoken to over TLS and not
    /// otherwise; none where nothing is encrypted.
    pub ca_file: Option<String>,
}

/// What the template of an ordinary file may speak of.
#[derive(Clone, Debug, Serialize)]
pub struct PublicFile {
    /// The site's main name.
    pub host: HostName,
    /// Its address, without a slash at the end.
    pub url: String,
    /// The site's folder.
    pub site: PlainPath,
    /// The platform's code, where there is one.
    pub platform: Option<PlainPath>,
    /// The operator's choices.
    pub options: BTreeMap<OptionName, OptionValue>,
}

/// What the template of the settings may speak of.
#[derive(Clone, Serialize)]
pub struct Settings {
    /// All that an ordinary file may.
    #[serde(flatten)]
    pub public: PublicFile,
    /// The database's account, where there is one.
    pub database: Option<Database>,
    /// The site's secrets.
    pub secrets: BTreeMap<OptionName, String>,
}

/// A vhost's text.
///
/// # Errors
/// When the template is not right; the message names it and the line.
pub fn vhost(name: &str, source: &str, values: &Vhost) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct WithParams<'a> {
        #[serde(flatten)]
        values: &'a Vhost,
        fastcgi_params: &'a str,
    }
    render(
        name,
        source,
        &WithParams {
            values,
            fastcgi_params: FASTCGI_PARAMS.trim_end(),
        },
    )
}

/// The text of a vhost that shows a page in a site's place.
///
/// # Errors
/// When the template is not right; the message names it and the line.
pub fn cover(name: &str, source: &str, values: &Cover) -> anyhow::Result<String> {
    render(name, source, values)
}

/// The text of a server whose names lead to a site.
///
/// # Errors
/// None that a template of ours can cause.
pub fn redirect(values: &Redirect) -> anyhow::Result<String> {
    render(
        "redirect.conf",
        include_str!("../../pages/redirect.conf"),
        values,
    )
}

/// An ordinary file's text.
///
/// # Errors
/// When the template is not right; the message names it and the line.
pub fn public_file(name: &str, source: &str, values: &PublicFile) -> anyhow::Result<String> {
    render(name, source, values)
}

/// The settings' text.
///
/// # Errors
/// When the template is not right; the message names it and the line.
pub fn settings(name: &str, source: &str, values: &Settings) -> anyhow::Result<String> {
    render(name, source, values)
}

/// Refuses settings from which an application cannot know with whose certificate its database server has to come: it would
/// send all in the clear, or to anybody.
///
/// # Errors
/// When they say nothing of it.
pub fn refuse_without_authority(text: &str, database: Option<&Database>) -> anyhow::Result<()> {
    let file = database.and_then(|database| database.ca_file.as_deref());
    anyhow::ensure!(
        file.is_none_or(|file| text.contains(file)),
        "its profile cannot have its database over TLS, which {} is reached by here alone: its settings say nothing of \
         `database.ca_file`",
        database.map_or("the server", |it| it.engine.title())
    );
    Ok(())
}

/// An option's default for this site.
///
/// # Errors
/// When it is not a right template.
pub fn option_default(source: &str, host: &HostName) -> anyhow::Result<String> {
    render("default", source, &BTreeMap::from([("host", host)]))
}

fn render(name: &str, source: &str, values: &impl Serialize) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = minijinja::syntax::SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build();
    environment.set_syntax(syntax?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_filter("php", php_literal);
    // A template is data, perhaps a stranger's: it may not loop for ever or fill the memory.
    environment.set_recursion_limit(50);
    environment
        .render_named_str(name, source, minijinja::value::Serde(values))
        .map_err(|error| {
            let line = error.line().unwrap_or(1);
            let reason = error.detail().unwrap_or_default().to_owned();
            anyhow::anyhow!("{name}:{line}: {}: {reason}", error.kind())
        })
}

/// A PHP string literal: between single quotes only `\` and `'` mean anything (PHP manual, Strings).
fn php_literal(text: String) -> Result<String, minijinja::Error> {
    if text.contains('\0') {
        return Err(minijinja::Error::new(
            minijinja::ErrorKind::InvalidOperation,
            "a NUL cannot stand in a PHP file",
        ));
    }
    Ok(format!(
        "'{}'",
        text.replace('\\', "\\\\").replace('\'', "\\'")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_php_literal_holds_any_text() {
        assert_eq!(php_literal("a'b\\".into()).expect("no NUL"), r"'a\'b\\'");
        assert_eq!(
            php_literal("'); system('x".into()).expect("no NUL"),
            r"'\'); system(\'x'"
        );
        assert!(php_literal("\0".into()).is_err());
    }

    #[test]
    fn what_is_not_defined_is_an_error_with_its_line() {
        let host = "www.example.org".parse().expect("a host");
        let error = option_default("one\n{{ hots }}", &host).expect_err("there is no such value");
        assert!(error.to_string().starts_with("default:2: "), "{error}");
    }

    #[test]
    fn a_path_for_nginx_is_plain() {
        for hostile in ["relative", "/a b", "/a;b", "/a{", "/a\nb", "/a$b", "/ä"] {
            assert!(PlainPath::new(Path::new(hostile)).is_err(), "{hostile}");
        }
        assert!(PlainPath::new(Path::new("/srv/sites/www.example.org")).is_ok());
    }
}
