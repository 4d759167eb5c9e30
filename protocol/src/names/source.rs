//! Where a platform's code comes from: a path on the spoke, or one commit of a git repository. Part of an argv.

use super::{SpokePath, name_type};

/// The longest address of a repository, in bytes.
const LONGEST: usize = 1024;
/// How the text of a commit of a repository begins: `git+URL#COMMIT`.
const GIT: &str = "git+";

name_type!(
    /// The address of a git repository: `https://host/path`, `ssh://user@host/path` or `file:///path`, of letters,
    /// digits and `. _ ~ / + -`. Other ways to reach one run programs or prove nobody's identity; passwords have no
    /// place in an address. Whether it may be fetched from is the spoke's decision.
    GitUrl,
    "address of a git repository",
    url
);

name_type!(
    /// A commit by its full name: 40 or 64 hexadecimal digits in lower case. A branch or a tag is none, since it
    /// may be another commit tomorrow.
    GitCommit,
    "commit",
    commit
);

name_type!(
    /// A [`SpokePath`], or a commit of a git repository as `git+URL#COMMIT`.
    PlatformSource,
    "source of a platform",
    source
);

/// A [`PlatformSource`], taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder or an archive on the spoke.
    Path(SpokePath),
    /// One commit.
    Git(GitUrl, GitCommit),
}

impl PlatformSource {
    /// Which of the two it is.
    #[must_use]
    pub fn origin(&self) -> Origin {
        take_apart(self.as_str()).expect("a source was taken apart when it was made")
    }

    /// That commit.
    #[must_use]
    pub fn git(url: &GitUrl, commit: &GitCommit) -> Self {
        Self(format!("{GIT}{url}#{commit}"))
    }
}

impl From<SpokePath> for PlatformSource {
    fn from(path: SpokePath) -> Self {
        Self(path.into())
    }
}

impl GitUrl {
    /// How it is reached: `https`, `ssh` or `file`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.as_str().split(':').next().unwrap_or_default()
    }

    /// The folder of a repository on the spoke itself.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        self.as_str().strip_prefix("file://")
    }
}

fn take_apart(text: &str) -> Result<Origin, String> {
    let Some(git) = text.strip_prefix(GIT) else {
        return text.parse().map(Origin::Path).map_err(|error| {
            format!("{error}; a commit of a git repository is written git+URL#COMMIT")
        });
    };
    let (url, commit) = git
        .split_once('#')
        .ok_or("a commit of a git repository is written git+URL#COMMIT")?;
    let url = url.parse::<GitUrl>().map_err(|error| error.to_string())?;
    let commit = commit
        .parse()
        .map_err(|error: super::NameError| error.to_string())?;
    Ok(Origin::Git(url, commit))
}

fn source(text: &str) -> Result<String, String> {
    take_apart(text).map(|_| text.to_owned())
}

fn commit(text: &str) -> Result<String, String> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if matches!(text.len(), 40 | 64) && text.bytes().all(hex) {
        Ok(text.to_owned())
    } else {
        Err("a branch or a tag may be another commit tomorrow, and a short name another's: give all 40 or 64 \
             hexadecimal digits, in lower case, as `git rev-parse 'NAME^{commit}'` prints them"
            .to_owned())
    }
}

fn url(text: &str) -> Result<String, String> {
    let known = ["https", "ssh", "file"];
    let (scheme, rest) = text
        .split_once("://")
        .filter(|(scheme, _)| known.contains(scheme))
        .ok_or("write it as https://host/path, ssh://user@host/path or file:///path")?;
    let (host, path) = rest
        .find('/')
        .map(|at| rest.split_at(at))
        .ok_or("it names no repository on that host")?;
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._~+-".contains(&b);
    let parts = path.strip_prefix('/').unwrap_or(path).trim_end_matches('/');
    let good = |part: &str| !matches!(part, "" | "." | "..") && !part.starts_with('-');
    if !path.bytes().all(plain) || !parts.split('/').all(good) {
        return Err("its path is of letters, digits and / . _ ~ + -, without empty parts, '.', '..' and parts that \
                    begin with -"
            .to_owned());
    }
    match scheme {
        "file" if host.is_empty() => Ok(text.to_owned()),
        "file" => Err("a repository on the spoke itself is file:///path".to_owned()),
        _ => host_of(scheme, host).map(|()| text.to_owned()),
    }
}

/// Whether this is a host, with a port perhaps, and for ssh a user.
fn host_of(scheme: &str, authority: &str) -> Result<(), String> {
    let host = match authority.split_once('@') {
        Some(_) if scheme != "ssh" => {
            return Err(
                "it names an account: whoever looks at processes could read what belongs to it"
                    .to_owned(),
            );
        }
        Some((user, host)) if is_label(user, b"._-") => host,
        Some(_) => {
            return Err("its user is of letters, digits and . _ -, without a password".to_owned());
        }
        None => authority,
    };
    let (host, port) = host.split_once(':').unwrap_or((host, "22"));
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    if is_label(host, b".-") && is_port {
        Ok(())
    } else {
        Err("its host is of letters, digits, . and -, and may have a port".to_owned())
    }
}

/// Never empty, and never what a program would take for an option.
fn is_label(text: &str, besides: &[u8]) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || besides.contains(&b);
    text.bytes().all(inside)
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
}
