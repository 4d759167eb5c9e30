//! From a profile's files to a profile, or to the sentence that says which file and line is wrong.
//!
//! Called by [`super::load`] for each folder. Everything that a site's installation would use is tried
//! here with made-up values, so that a mistake shows at start and not half-way through a task.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::names::{
    DATABASE_OPTION, DatabaseName, Engine, HostName, OptionName, ProfileName,
};

use super::manifest::{Directory, Import, Manifest, WebAccess};
use super::place::Place;
use super::{Profile, template};
use crate::pools::OPTION;

/// The file of an authority for a site that does not exist.
const AUTHORITY: &str = "/made-up/authority.pem";

/// A profile out of its files, or what is wrong with them.
pub(super) fn check(
    name: &ProfileName,
    folder: Option<&Path>,
    files: BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<Profile> {
    let at = |file: &str| match folder {
        Some(folder) => folder.join(file).display().to_string(),
        None => format!("built-in {name}/{file}"),
    };
    let manifest = files
        .get("profile.toml")
        .with_context(|| format!("{}: there is no such file", at("profile.toml")))?;
    let manifest = String::from_utf8(manifest.clone()).with_context(|| at("profile.toml"))?;
    // The parser's own message tells line and column over several lines; one line does for a log.
    let parsed: Manifest = toml::from_str(&manifest).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + manifest[..start].matches('\n').count();
        anyhow::anyhow!("{}:{line}: {}", at("profile.toml"), error.message())
    })?;
    let profile = Profile {
        manifest: parsed,
        folder: folder.map(Path::to_owned),
        files,
        tell_authority: Vec::new(),
    };
    let line_of = |text: &str| {
        let before = manifest.find(text).map_or("", |start| &manifest[..start]);
        1 + before.matches('\n').count()
    };
    let contradictions: Vec<String> = contradictions(name, &profile)
        .into_iter()
        .map(|(key, problem)| format!("{}:{}: {problem}", at("profile.toml"), line_of(&key)))
        .collect();
    anyhow::ensure!(contradictions.is_empty(), "{}", contradictions.join("; "));
    let tell_authority = render_all(&profile, &at)?;
    Ok(Profile {
        tell_authority,
        ..profile
    })
}

/// What the parser cannot see: where parts of the manifest do not fit together. Each with a text that
/// stands on the line to look at.
fn contradictions(name: &ProfileName, profile: &Profile) -> Vec<(String, String)> {
    let manifest = &profile.manifest;
    let mut found = Vec::new();
    let mut problem = |key: &str, text: String| found.push((key.to_owned(), text));
    if manifest.name != *name {
        problem(
            "name",
            format!("it is called {}, but lies in {name}", manifest.name),
        );
    }
    if manifest.needs.platform != manifest.platform.is_some() {
        let text = "needs.platform and the table [platform] go together";
        problem("platform", text.to_owned());
    }
    if manifest.options.keys().any(|name| name.as_str() == OPTION) {
        let text = format!("the option {OPTION} is one that every site has: call yours otherwise");
        problem("[options.pool", text);
    }
    if manifest.needs.database.any() && manifest.settings.is_none() {
        problem(
            "needs",
            "it needs a database, but has no [settings] to tell its account".into(),
        );
    }
    let is_reserved = |name: &OptionName| name.as_str() == DATABASE_OPTION;
    if manifest.needs.database.any() && manifest.options.keys().any(is_reserved) {
        let text = format!(
            "an option {DATABASE_OPTION} chooses among needs.database: give this one another name"
        );
        problem("[options.database]", text);
    }
    if !manifest.needs.database.any() && !manifest.backup.without_rows.is_empty() {
        problem(
            "without_rows",
            "backup.without_rows names tables, and needs.database is not said".into(),
        );
    }
    for (table, script) in manifest.scripts() {
        if !manifest.needs.php {
            problem(&table, "a script needs needs.php".into());
        }
        for secret in &script.secrets {
            if !manifest.secrets.contains_key(secret) {
                problem(&table, format!("there is no secret {secret}"));
            }
        }
    }
    if !manifest.healthy.path.starts_with('/')
        || manifest.healthy.path.contains(char::is_whitespace)
    {
        problem(
            "[healthy]",
            "healthy.path begins with / and holds no white space".into(),
        );
    }
    if let Some(settings) = &manifest.settings
        && settings.mode.0 & 0o007 != 0
    {
        problem(
            "[settings]",
            "settings.mode must give nothing to others".into(),
        );
    }
    if let Some(admin) = &manifest.admin
        && !manifest.options.contains_key(&admin.user_option)
    {
        problem(
            "user_option",
            format!("there is no option {}", admin.user_option),
        );
    }
    if let Some(login) = &manifest.login {
        let overlays = manifest.platform.iter().flat_map(|it| &it.overlay);
        let mut overlays = overlays.map(|overlay| &overlay.path);
        if manifest.admin.is_none() || !overlays.any(|path| *path == login.page) {
            let text = "[login] needs [admin], and a page of [platform] overlay";
            problem("[login]", text.to_owned());
        }
        let kept = |made: &Directory| made.path == login.folder && made.web == WebAccess::Write;
        if login.folder.as_str().contains('/') || !manifest.directories.iter().any(kept) {
            let text = "login.folder is one of [[directories]], right below the site's own, that has web = \"write\"";
            problem("[login]", text.to_owned());
        }
        if !manifest.backup.exclude.contains(&login.folder) {
            problem(
                "[login]",
                "backup.exclude must name login.folder".to_owned(),
            );
        }
    }
    if let Some(update) = &manifest.update
        && (manifest.platform.is_none() || !manifest.commands.contains_key(update))
    {
        let text =
            format!("there is no command {update}, or no platform that could be another one");
        problem("update", text);
    }
    if !manifest.links.is_empty() && manifest.platform.is_none() {
        problem(
            "links",
            "links lead to a platform, and there is none".into(),
        );
    }
    if let Some(import) = &manifest.import {
        for (key, text) in import_contradictions(manifest, import) {
            problem(&key, text);
        }
    }
    let mut made: Vec<&str> = Vec::new();
    for directory in &manifest.directories {
        let path = directory.path.as_str();
        // In an access control list the group's bits bound what the web server's user may do.
        let needed = match directory.web {
            WebAccess::None => 0,
            WebAccess::Read => 0o050,
            WebAccess::Write => 0o070,
        };
        if directory.mode.0 & needed != needed || directory.mode.0 & 0o700 != 0o700 {
            problem(
                path,
                format!("{path} needs at least the mode 07{}0", needed >> 3),
            );
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            if !made.contains(&parent) {
                problem(
                    path,
                    format!("the folder {path} must come after its parent"),
                );
            } else if manifest
                .directories
                .iter()
                .any(|above| above.path.as_str() == parent && above.web == WebAccess::Write)
            {
                problem(
                    path,
                    format!("{path} lies in a folder that the web server may write"),
                );
            }
        }
        made.push(path);
    }
    let files = manifest.files.iter().map(|file| (&file.path, false));
    let settings = manifest.settings.iter().map(|file| (&file.path, false));
    let links = manifest.links.iter().map(|link| (&link.path, link.each));
    for (place, is_folder) in files.chain(settings).chain(links) {
        let path = place.as_str();
        let folder = match is_folder {
            true => path,
            false => path.rsplit_once('/').map_or("", |(folder, _)| folder),
        };
        let readable = manifest
            .directories
            .iter()
            .any(|made| made.path.as_str() == folder && made.web == WebAccess::Read);
        if !readable {
            problem(
                path,
                format!("{path} must lie in one of [[directories]] that has web = \"read\""),
            );
        }
    }
    for file in named_files(manifest) {
        if profile.file(file).is_err() {
            problem(file.as_str(), format!("the profile has no file {file}"));
        }
    }
    found
}

/// What of `[import]` does not fit the rest.
fn import_contradictions(manifest: &Manifest, import: &Import) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for copy in &import.copy {
        let is_made = manifest.directories.iter().any(|it| it.path == copy.to);
        if !is_made {
            let text = format!("{} is none of [[directories]]", copy.to);
            found.push((copy.to.to_string(), text));
        }
    }
    if import.index.is_empty() && manifest.platform.is_none() {
        let text = "import.index must name a file by which the application is known";
        found.push(("[import]".to_owned(), text.to_owned()));
    }
    let Some(settings) = &import.settings else {
        return found;
    };
    let key = "[import.settings]";
    if !manifest.needs.database.any() {
        let text = "its settings tell of a database, and needs.database is not said";
        found.push((key.to_owned(), text.to_owned()));
    }
    let needs = manifest.needs.database;
    if settings.engine.is_some() && !Engine::ALL.iter().all(|&engine| needs.has(engine)) {
        let text = "its settings tell of either server, and needs.database does not name both";
        found.push((key.to_owned(), text.to_owned()));
    }
    let prefix = settings.prefix.iter().map(|prefix| &prefix.option);
    for option in prefix.chain(settings.options.keys()) {
        if !manifest.options.contains_key(option) {
            let text = format!("there is no option {option}");
            found.push((key.to_owned(), text));
        }
    }
    found
}

/// Every file of the profile that its manifest names.
fn named_files(manifest: &Manifest) -> Vec<&Place> {
    let mut named = vec![&manifest.vhost.template];
    named.extend(manifest.files.iter().map(|file| &file.template));
    named.extend(manifest.settings.iter().map(|settings| &settings.template));
    named.extend(manifest.scripts().map(|(_, script)| &script.script));
    let overlays = manifest
        .platform
        .iter()
        .flat_map(|platform| &platform.overlay);
    named.extend(overlays.map(|overlay| &overlay.file));
    named
}

/// Renders every template for a site that does not exist, so that a mistake shows at start and not in the
/// middle of an installation. For which servers the settings tell the authority that has signed their certificates.
fn render_all(profile: &Profile, at: &dyn Fn(&str) -> String) -> anyhow::Result<Vec<Engine>> {
    let manifest = &profile.manifest;
    let mut tell_authority = Vec::new();
    let host: HostName = "www.example.org".parse()?;
    let plain = |text: &str| template::PlainPath::new(Path::new(text));
    let platform = match manifest.needs.platform {
        true => Some(plain("/platform")?),
        false => None,
    };
    let settings = match manifest.settings.is_some() {
        true => Some(plain("/settings")?),
        false => None,
    };
    let fpm_socket = match manifest.needs.php {
        true => Some(plain("/fpm.sock")?),
        false => None,
    };
    let vhost = template::Vhost {
        host: host.clone(),
        aliases: vec!["*.example.net".parse()?],
        listen: template::Listen::on(&[], 80),
        tls: String::new(),
        site: plain("/site")?,
        platform: platform.clone(),
        settings,
        fpm_socket,
        snippet: "    # a remark\n".to_owned(),
    };
    let text = |place: &Place| profile.text(place).with_context(|| at(place.as_str()));
    let place = &manifest.vhost.template;
    template::vhost(&at(place.as_str()), text(place)?, &vhost)?;

    let required = manifest.options.iter().filter(|(_, rule)| rule.required);
    let given = required
        .map(|(name, _)| Ok((name.clone(), "a value".parse()?)))
        .collect::<anyhow::Result<_>>()?;
    let public = template::PublicFile {
        url: format!("http://{host}"),
        site: plain("/site")?,
        platform,
        options: profile
            .complete_options(&host, &given)
            .with_context(|| at("profile.toml"))?,
        host: host.clone(),
    };
    for file in &manifest.files {
        template::public_file(&at(file.template.as_str()), text(&file.template)?, &public)?;
    }
    if let Some(settings) = &manifest.settings {
        let secret = |name: &OptionName| (name.clone(), "secret".to_owned());
        let place = &settings.template;
        let source = text(place)?;
        let render = |database| {
            let values = template::Settings {
                public: public.clone(),
                database,
                secrets: manifest.secrets.keys().map(secret).collect(),
            };
            template::settings(&at(place.as_str()), source, &values)
        };
        if !manifest.needs.database.any() {
            render(None)?;
        }
        for engine in manifest.needs.database.all() {
            render(Some(made_up(engine, &host)))?;
            // One that cannot is good for servers without.
            let told = render(Some(over_tls(engine, &host)));
            if told.is_ok_and(|text| text.contains(AUTHORITY)) {
                tell_authority.push(engine);
            }
        }
    }
    Ok(tell_authority)
}

/// The same on another machine that is spoken to over TLS.
fn over_tls(engine: Engine, host: &HostName) -> template::Database {
    template::Database {
        socket: None,
        host: "10.0.0.2".to_owned(),
        port: Some(3306),
        server: "10.0.0.2:3306".to_owned(),
        ca_file: Some(AUTHORITY.to_owned()),
        ..made_up(engine, host)
    }
}

/// An account for a site that does not exist.
fn made_up(engine: Engine, host: &HostName) -> template::Database {
    let (socket, address, port, server) = match engine {
        Engine::Mariadb => (
            Some("/mysqld.sock".to_owned()),
            "localhost",
            None,
            "localhost:/mysqld.sock",
        ),
        Engine::Postgresql => (None, "127.0.0.1", Some(5432), "127.0.0.1:5432"),
    };
    template::Database {
        engine,
        socket,
        host: address.to_owned(),
        port,
        server: server.to_owned(),
        name: DatabaseName::for_site(host),
        user: DatabaseName::for_site(host),
        password: "password".to_owned(),
        ca_file: None,
    }
}
