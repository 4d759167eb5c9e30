//! From folders to profiles: read whole, checked whole. A broken profile is kept as the sentence that
//! says what is wrong with it, and never stops the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::names::ProfileName;

use super::Profile;
use super::built_in::BUILT_IN;
use super::check::check;

/// Bounds of a profile, far beyond any that makes sense.
const MOST_FILES: usize = 200;
const LARGEST_FILE: u64 = 1024 * 1024;

/// The profile in this folder, which is called as it is.
///
/// # Errors
/// What is wrong with it, with file and line.
pub fn read(folder: &Path) -> anyhow::Result<Profile> {
    let whole = folder.canonicalize();
    let whole = whole.with_context(|| format!("cannot read {}", folder.display()))?;
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let name = name.parse().with_context(|| folder.display().to_string())?;
    check(&name, Some(folder), read_folder(folder)?)
}

/// Every profile of this spoke, by name.
#[derive(Debug, Default)]
pub struct Profiles {
    known: BTreeMap<ProfileName, Result<Profile, String>>,
    problems: Vec<String>,
}

impl Profiles {
    /// The built-in profiles, and over them those in the operator's folders, a later one winning.
    #[must_use]
    pub fn load(directories: &[PathBuf]) -> Self {
        let mut all = Self::default();
        for (name, files) in BUILT_IN {
            let files = files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
                .collect();
            all.add(name, None, Ok(files));
        }
        for directory in directories {
            if let Err(error) = all.add_directory(directory) {
                all.problems.push(format!("{error:#}"));
            }
        }
        all
    }

    fn add_directory(&mut self, directory: &Path) -> anyhow::Result<()> {
        let listing = std::fs::read_dir(directory)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| {
                format!("cannot read the folder of profiles {}", directory.display())
            })?;
        for entry in listing {
            let name = entry.file_name();
            let folder = entry.path();
            if folder.is_dir() && !name.as_encoded_bytes().starts_with(b".") {
                let files = read_folder(&folder);
                self.add(&name.to_string_lossy(), Some(&folder), files);
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: &str,
        folder: Option<&Path>,
        files: anyhow::Result<BTreeMap<String, Vec<u8>>>,
    ) {
        let known = match name.parse::<ProfileName>() {
            Ok(known) => known,
            Err(error) => {
                let place = folder.unwrap_or(Path::new(name)).display();
                self.problems.push(format!("{place}: {error}"));
                return;
            }
        };
        let checked = files
            .and_then(|files| check(&known, folder, files))
            .map_err(|error| format!("{error:#}"));
        self.problems.extend(checked.as_ref().err().cloned());
        self.known.insert(known, checked);
    }

    /// The profile of this name.
    ///
    /// # Errors
    /// When there is none, or it is broken, and how.
    pub fn get(&self, name: &ProfileName) -> anyhow::Result<&Profile> {
        match self.known.get(name) {
            Some(Ok(profile)) => Ok(profile),
            Some(Err(problem)) => {
                anyhow::bail!("profile {name} cannot be used until it is mended: {problem}")
            }
            None => {
                let names: Vec<&str> = self.known.keys().map(ProfileName::as_str).collect();
                anyhow::bail!(
                    "there is no profile {name} on this spoke; there are {}",
                    names.join(", ")
                )
            }
        }
    }

    /// Those that can be used.
    pub fn usable(&self) -> impl Iterator<Item = &Profile> {
        self.known.values().filter_map(|found| found.as_ref().ok())
    }

    /// What is wrong, each with its file and line.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

fn read_folder(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![(folder.to_owned(), String::new())];
    while let Some((at, prefix)) = waiting.pop() {
        for entry in std::fs::read_dir(&at).with_context(|| at.display().to_string())? {
            let entry = entry.with_context(|| at.display().to_string())?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                anyhow::bail!("{}: its name is not UTF-8", path.display());
            };
            let found = std::fs::metadata(&path).with_context(|| path.display().to_string())?;
            if found.is_dir() {
                waiting.push((path, format!("{prefix}{name}/")));
                anyhow::ensure!(
                    prefix.matches('/').count() < 8,
                    "{}: folders lie too deep",
                    at.display()
                );
                continue;
            }
            anyhow::ensure!(
                found.is_file() && found.len() <= LARGEST_FILE && files.len() < MOST_FILES,
                "{}: a profile has at most {MOST_FILES} files of at most {LARGEST_FILE} bytes, and \
                 nothing else",
                path.display()
            );
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            files.insert(format!("{prefix}{name}"), bytes);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of profiles with one in it, gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let id = uuid::Uuid::now_v7();
            let root = std::env::temp_dir().join(format!("kolga-profiles-{id}"));
            let folder = root.join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            for (path, text) in files {
                std::fs::write(folder.join(path), text).expect("a file");
            }
            Self(root)
        }

        fn load(&self) -> Profiles {
            Profiles::load(std::slice::from_ref(&self.0))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    const SMALL: &str = "name = \"small\"\ndescription = \"x\"\n[vhost]\ntemplate = \"v.conf\"\n\
                         [healthy]\npath = \"/\"\nstatus = 200\n";

    #[test]
    fn the_built_in_profiles_are_right() {
        let profiles = Profiles::load(&[]);
        assert_eq!(profiles.problems(), &[] as &[String]);
        let names: Vec<_> = profiles
            .usable()
            .map(|p| p.manifest.name.to_string())
            .collect();
        assert_eq!(
            names,
            [
                "drupal",
                "drupal7",
                "mediawiki",
                "php",
                "static",
                "wordpress"
            ]
        );
    }

    #[test]
    fn a_built_in_profile_is_right_where_it_lies_too_and_php_can_read_every_script_of_it() {
        let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
        let mut scripts = 0;
        let built_in = Profiles::load(&[]);
        for name in crate::profile::built_in_names() {
            let folder = profiles.join(name);
            let profile = read(&folder).expect("it is right");
            // No file of it is forgotten, and what several have in common is a link to the same.
            let same = built_in.get(&profile.manifest.name).expect("it is there");
            assert!(profile.files == same.files, "{name}");
            let overlay = profile.manifest.platform.iter();
            let overlay = overlay.flat_map(|it| &it.overlay).map(|it| &it.file);
            let named = profile.manifest.scripts();
            let named = named.map(|(_, script)| script.script.clone());
            for script in named.chain(overlay.cloned()) {
                let file = folder.join(script.as_str());
                let mut php = std::process::Command::new("/usr/bin/php");
                let said = php.arg("-l").arg(&file).output().expect("it runs");
                assert!(said.status.success(), "{}: {said:?}", file.display());
                scripts += 1;
            }
        }
        assert!(scripts > 15, "{scripts}");
        let broken = Folder::with("small", &[("profile.toml", "name = 1"), ("v.conf", "")]);
        let said = read(&broken.0.join("small")).expect_err("it is broken");
        assert!(format!("{said:#}").contains("profile.toml:1: "), "{said:#}");
    }

    #[test]
    fn what_the_pages_for_a_login_share_does_nothing_when_somebody_asks_for_it() {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/login.php");
        let ask = |code: &str| {
            let mut php = std::process::Command::new("/usr/bin/php");
            let said = php.args(["-d", "display_errors=stderr", "-r", code, "--"]);
            let said = said.arg(&shared).output().expect("it runs");
            assert!(said.status.success(), "{said:?}");
            assert_eq!(String::from_utf8_lossy(&said.stderr), "");
            String::from_utf8(said.stdout).expect("text")
        };
        // Neither a word nor a variable, and no function that could be an application's.
        let code = "$before = get_defined_functions()['user']; require $argv[1]; \
                    $new = array_diff(get_defined_functions()['user'], $before); \
                    unset($before); echo implode(' ', $new);";
        let functions = ask(code);
        let ours = functions
            .split(' ')
            .filter(|it| it.starts_with("kolga_token_"));
        assert_eq!(ours.count(), functions.split(' ').count(), "{functions}");
        assert!(functions.contains("kolga_token_user"), "{functions}");
    }

    #[test]
    fn an_operators_profile_is_used_like_a_built_in_one() {
        let folder = Folder::with(
            "small",
            &[("profile.toml", SMALL), ("v.conf", "# {{ host }}")],
        );
        let profiles = folder.load();
        assert_eq!(profiles.problems(), &[] as &[String]);
        assert!(profiles.get(&"small".parse().expect("a name")).is_ok());
    }

    #[test]
    fn a_mistake_in_the_manifest_names_file_and_line_and_stops_no_other() {
        let broken = SMALL.replace("status = 200", "status = \"many\"");
        let folder = Folder::with("small", &[("profile.toml", &broken), ("v.conf", "")]);
        let profiles = folder.load();
        let problem = profiles.problems()[0].clone();
        assert!(problem.contains("small/profile.toml:7: "), "{problem}");
        let error = profiles
            .get(&"small".parse().expect("a name"))
            .expect_err("it is broken");
        assert!(error.to_string().contains(&problem), "{error}");
        assert!(profiles.get(&"static".parse().expect("a name")).is_ok());
    }

    #[test]
    fn a_mistake_in_a_template_names_file_and_line() {
        let folder = Folder::with(
            "small",
            &[("profile.toml", SMALL), ("v.conf", "#\n{{ titel }}")],
        );
        let problem = folder.load().problems()[0].clone();
        assert!(problem.contains("small/v.conf:2: "), "{problem}");
    }

    #[test]
    fn an_operators_options_cannot_reach_nginx() {
        let manifest = format!("{SMALL}[options.title]\ndescription = \"x\"\nrequired = true\n");
        let vhost = "# {{ options.title }}";
        let folder = Folder::with("small", &[("profile.toml", &manifest), ("v.conf", vhost)]);
        let problem = folder.load().problems()[0].clone();
        assert!(problem.contains("undefined"), "{problem}");
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let folder = Folder::with("small", &[("profile.toml", SMALL)]);
        let problem = folder.load().problems()[0].clone();
        assert!(
            problem.ends_with(":4: the profile has no file v.conf"),
            "{problem}"
        );
    }
}
