//! The secrets of sites: made here, kept here, in one file a site that only the worker may read.
//!
//! Steps make them and hand them to settings files and, over stdin, to installers; `kolga-worker secret
//! show` prints them. They are in no journal, no log and no message: [`Secret`] does not print itself.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::names::{HostName, OptionName};
use kolga_protocol::seal::Opener;
use serde::{Deserialize, Serialize};

use crate::files::Dir;

const FOLDER: &str = "secrets";
/// This spoke's own key, beside them: no site's file is called so.
const KEY: &str = "seal.key";
const LONGEST: u64 = 64 * 1024;
/// How long a password is unless somebody wants another length: 190 bits.
pub const PASSWORD_LENGTH: usize = 32;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A password or a key. Shows itself only to who asks by [`Secret::expose`], and to the file it is kept in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A new one of so many letters and digits.
    ///
    /// # Errors
    /// When the kernel has no randomness to give.
    pub fn generate(length: usize) -> anyhow::Result<Self> {
        let mut text = String::with_capacity(length);
        let mut bytes = [0_u8; 64];
        while text.len() < length {
            getrandom::fill(&mut bytes)
                .map_err(|error| anyhow::anyhow!("the kernel gives no random bytes: {error}"))?;
            // 248 is the largest multiple of 62 in a byte: what lies above would favour some letters.
            let usable = bytes.iter().filter(|&&byte| byte < 248);
            let missing = length - text.len();
            text.extend(
                usable
                    .take(missing)
                    .map(|&byte| char::from(LETTERS[usize::from(byte) % 62])),
            );
        }
        Ok(Self(text))
    }

    /// A text that is to be one.
    #[must_use]
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// The one that such a file holds, without the end of its line.
    ///
    /// # Errors
    /// When it cannot be read, is not text, or others may read it.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = String::from_utf8(secret_file(path)?);
        let text = text.map_err(|_| anyhow::anyhow!("{} is not text", path.display()))?;
        let text = text.trim_end_matches(['\r', '\n']);
        anyhow::ensure!(
            !text.is_empty() && !text.contains(char::is_control),
            "{} must hold one line and nothing else",
            path.display()
        );
        Ok(Self(text.to_owned()))
    }

    /// The text itself. Not for a log, an argv, an environment or an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a file with a secret holds, which the operator gave and nobody else may read.
///
/// # Errors
/// When it cannot be read, or others may read it.
pub(crate) fn secret_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    anyhow::ensure!(
        mode & 0o037 == 0,
        "{shown} has mode {mode:04o}, but holds a secret: chmod 0600 {shown}"
    );
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// What one site has to hide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSecrets {
    /// The run that made them, so that an undo removes only its own.
    pub owner: String,
    /// Of the database user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_password: Option<Secret>,
    /// Those that the profile wants, by their names there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<OptionName, Secret>,
}

/// Where the secrets of this spoke's sites are kept.
#[derive(Clone, Debug)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// Those below the worker's own folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            folder: state_dir.join(FOLDER),
        }
    }

    /// The file of a site, there or not.
    #[must_use]
    pub fn path(&self, host: &HostName) -> PathBuf {
        self.folder.join(file_name(host))
    }

    /// Keeps a new site's secrets. Never in place of others.
    ///
    /// # Errors
    /// When the site has some already, or they cannot be written.
    pub fn save(&self, host: &HostName, secrets: &SiteSecrets) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec_pretty(secrets)?;
        self.dir()?.write_new(file_name(host), &bytes, 0o600)
    }

    /// A site's secrets; `None` when it has none.
    ///
    /// # Errors
    /// When the file cannot be read or is not what it should be.
    pub fn load(&self, host: &HostName) -> anyhow::Result<Option<SiteSecrets>> {
        let Some(bytes) = self.dir()?.read(file_name(host), LONGEST)? else {
            return Ok(None);
        };
        // The parser's own words could quote what it choked on.
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| anyhow::anyhow!("{} is damaged", self.path(host).display()))
    }

    /// Forgets a site's secrets; it need not have any.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self, host: &HostName) -> anyhow::Result<()> {
        self.dir()?.remove_file(file_name(host))
    }

    /// Forgets them when `owner` made them, and what a crash left of writing them.
    ///
    /// # Errors
    /// When the file cannot be read or removed.
    pub fn remove_of(&self, host: &HostName, owner: &str) -> anyhow::Result<()> {
        match self.load(host)? {
            Some(secrets) if secrets.owner == owner => self.remove(host),
            _ => self.dir()?.remove_half_written(file_name(host)),
        }
    }

    /// Moves a site's secrets to another folder of the worker's own, never over anything.
    ///
    /// # Errors
    /// When there are none, something is in the way, or they cannot be moved.
    pub fn move_out(&self, host: &HostName, target: &Dir, name: &str) -> anyhow::Result<()> {
        self.dir()?.move_to(file_name(host), target, name)
    }

    /// The way back of [`Secrets::move_out`].
    ///
    /// # Errors
    /// When there are none, the site has others, or they cannot be moved.
    pub fn move_in(&self, source: &Dir, name: &str, host: &HostName) -> anyhow::Result<()> {
        source.move_to(name, &self.dir()?, file_name(host))
    }

    /// What opens the secrets of a site that moves here, sealed to this spoke's key by the one that it comes from. Whoever
    /// has it has what is beside it, so it is kept; made when it is first wanted.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn opener(&self) -> anyhow::Result<Opener> {
        let dir = self.dir()?;
        if dir.kind(KEY)?.is_none() {
            let made = dir.write_new(KEY, &Opener::generate().secret(), 0o600);
            // Another task may have been faster.
            if dir.kind(KEY)?.is_none() {
                made?;
            }
        }
        let kept = dir.read(KEY, LONGEST)?.context("the key is gone")?;
        let kept = <[u8; 32]>::try_from(kept.as_slice());
        let kept =
            kept.with_context(|| format!("{} is damaged", self.folder.join(KEY).display()))?;
        Ok(Opener::from_secret(kept))
    }

    fn dir(&self) -> anyhow::Result<Dir> {
        Dir::open_or_make(&self.folder, 0o700).context("cannot get at the secrets of sites")
    }
}

fn file_name(host: &HostName) -> String {
    format!("{host}.json")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn what_is_sealed_to_the_spokes_key_is_opened_by_it_later_and_by_no_other() {
        let (scratch, other) = (Scratch::new(), Scratch::new());
        let secrets = Secrets::new(scratch.path());
        let key = secrets.opener().expect("made").key();
        let sealed = key.seal("a password").expect("sealed");
        let again = Secrets::new(scratch.path()).opener().expect("kept");
        assert_eq!(again.open(&sealed).expect("its own"), "a password");
        let other = Secrets::new(other.path()).opener().expect("made");
        assert!(other.open(&sealed).is_err());
        let path = scratch.path().join(FOLDER).join(KEY);
        let mode = std::fs::metadata(&path).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        std::fs::write(&path, "short").expect("damaged");
        assert!(secrets.opener().is_err());
    }

    #[test]
    fn a_secret_that_others_may_read_or_of_several_lines_is_refused() {
        let scratch = Scratch::new();
        let path = scratch.path().join("file");
        std::fs::write(&path, "long and good\n").expect("written");
        let set = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("set");
        };
        set(0o600);
        assert_eq!(Secret::read(&path).expect("read").expose(), "long and good");
        std::fs::write(&path, "two\nlines").expect("written");
        let refused = Secret::read(&path).expect_err("it is no password");
        assert!(refused.to_string().contains("one line"), "{refused}");
        for mode in [0o644, 0o604, 0o660] {
            set(mode);
            let refused = secret_file(&path).expect_err("others may read it");
            assert!(refused.to_string().contains("chmod 0600"), "{refused}");
        }
    }

    fn secrets(owner: &str) -> SiteSecrets {
        SiteSecrets {
            owner: owner.to_owned(),
            database_password: Some(Secret::generate(PASSWORD_LENGTH).expect("made")),
            values: BTreeMap::new(),
        }
    }

    #[test]
    fn a_secret_is_of_letters_and_digits_and_never_the_same() {
        let made: std::collections::BTreeSet<String> = (0..100)
            .map(|_| Secret::generate(32).expect("made").expose().to_owned())
            .collect();
        assert_eq!(made.len(), 100);
        assert!(
            made.iter()
                .all(|text| text.len() == 32
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        );
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let secrets = secrets("run");
        let password = secrets.database_password.clone().expect("made");
        assert!(!format!("{secrets:?}").contains(password.expose()));
    }

    #[test]
    fn secrets_come_back_as_they_were_from_a_file_that_nobody_else_reads() {
        let scratch = Scratch::new();
        let kept = Secrets::new(scratch.path());
        let host = "www.example.org".parse().expect("a host");
        assert_eq!(kept.load(&host).expect("looked"), None);
        let secrets = secrets("run");
        kept.save(&host, &secrets).expect("saved");
        assert!(
            kept.save(&host, &secrets).is_err(),
            "never in place of others"
        );
        assert_eq!(kept.load(&host).expect("loaded"), Some(secrets));
        let mode =
            |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&kept.path(&host)), 0o600);
        assert_eq!(mode(&scratch.path().join(FOLDER)), 0o700);
    }

    #[test]
    fn only_the_run_that_made_them_forgets_them() {
        let scratch = Scratch::new();
        let kept = Secrets::new(scratch.path());
        let host = "www.example.org".parse().expect("a host");
        kept.save(&host, &secrets("mine")).expect("saved");
        kept.remove_of(&host, "another").expect("left alone");
        assert!(kept.path(&host).exists());
        kept.remove_of(&host, "mine").expect("removed");
        kept.remove_of(&host, "mine").expect("gone is success");
        assert!(!kept.path(&host).exists());
    }
}
