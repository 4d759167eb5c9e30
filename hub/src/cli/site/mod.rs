//! `kolga site`: the sites. Commands with arguments of their own are a file each; those that only name a site
//! and ask for a task on it are in `act`.

mod act;
mod alias;
mod clone;
mod delete;
mod https;
mod import;
mod install;
mod lock;
mod login;
mod migrate;
mod pool;
mod relocate;
mod restore;
mod run;
mod verify;

use clap::Subcommand;
use kolga_protocol::names::{HostName, ServerName};
use kolga_protocol::task::Kind;

use super::client::Client;
use super::label::{self, Changes};
use super::page::{self, Part};
use super::platform::condition;
use super::screen::Screen;
use super::table::Table;
use super::time::{age, instant};
use super::trouble::Trouble;
use crate::wire::Site;
use act::Act;
use alias::Alias;
use clone::Clone;
use delete::Delete;
pub(super) use delete::confirm;
use https::Https;
use import::{HandOver, Import};
use install::Install;
use lock::{Lock, Unlock};
use login::Login;
use migrate::{Migrate, Rename};
use pool::Pool;
use relocate::{Move, Release};
use restore::Restore;
use run::Run;

/// What can be done with sites.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Install a new site
    #[command(after_help = "\
Examples:
  kolga site install hello.example.org --server web1 --profile static --follow
  kolga site install blog.example.org --server web1 --profile wordpress --platform wp \\
        --alias www.blog.example.org --option title='My blog' --follow
  kolga site install shop.example.org --server web1 --profile php --database postgresql --follow

The passwords of the site are made on its server and stay there; the result names the file, and
`kolga-worker secret show HOST` prints it there.")]
    Install(Install),
    /// Take over a site that its server holds and this hub does not know
    #[command(after_help = "\
For a spoke that comes from another hub, or a hub that has lost its database: `kolga server inventory` shows what is there.
Everything of the site's is looked at first: its folder, its database, its secrets, its vhost, each by the mark that Kolga has
put on it; what is in the way is told, all of it at once. Nothing on the server is changed. Its platform comes into this
hub's list with it. What is merely not as it should be is told and left to `kolga site verify`.

With --from, a site is made by copy of a folder that Kolga has not made: plain files, a PHP application, a WordPress. The
server's worker.toml says from where ([sites] import_from). The folder and its database are only read, and stay. What is in
the way is told before anything is made, all of it at once.

Examples:
  kolga site import blog.example.org --on web1 --from /var/www/blog --platform wp --check --follow
  kolga site import blog.example.org --on web1 --from /var/www/blog --platform wp --follow
  kolga site import blog.example.org --on web1 --check --follow      only say what would come of it
  kolga site import blog.example.org --on web1 --follow")]
    Import(Import),
    /// Take a site off this hub's list and leave it on its server as it is
    #[command(after_help = "\
For a spoke that is to belong to another hub, which then takes the site over with `kolga site import`. Its names are free
here from then on, and no task can be asked for it.

Example:
  kolga site hand-over blog.example.org")]
    HandOver(HandOver),
    /// Delete a site with its files and its database, after a backup of it
    #[command(after_help = "\
A backup is made first and read back. When that does not succeed, or its server has no place for backups, nothing of the
site is touched: mend the cause, or say --no-backup. What was deleted is in the server's trash for a while besides:
`kolga trash list`.

Examples:
  kolga site delete blog.example.org --follow
  kolga site delete blog.example.org --no-backup --yes --follow")]
    Delete(Delete),
    /// Keep a copy of a site's files and database in the backups of its server
    #[command(after_help = "\
Examples:
  kolga site backup blog.example.org --follow
  kolga site backup --all --on web1 --at-once 2 --follow

Only what has changed since the last backup takes room. It counts when it could be read back. Where backups go is
said by `[backups]` in the server's worker.toml; `kolga backup list` shows what is there.")]
    Backup(Act),
    /// Make a site what it was when a backup of it was made
    #[command(after_help = "\
Files, database and platform come out of the backup; names, options and passwords stay as they are today. The site
answers until the backup is restored beside it, and again once the two have changed places. What it was until then is
in the trash afterwards. A site that was deleted is installed anew first, under the same name and profile.

Examples:
  kolga backup list --site blog.example.org
  kolga site restore blog.example.org 4b3feb53 --follow")]
    Restore(Restore),
    /// Show visitors the site again that was disabled
    #[command(after_help = "Example:\n  kolga site enable --label env=test --follow")]
    Enable(Act),
    /// Show visitors a page that says that the site is switched off
    #[command(after_help = "\
Files, database and settings stay as they are; `kolga site enable` brings the site back. An operator of the
server can put another page in place of the built-in one: `[pages]` in its worker.toml.

Examples:
  kolga site disable blog.example.org --follow
  kolga site disable --label env=test --follow      all with this label, as one operation")]
    Disable(Act),
    /// Make a site what it should be, and say what had to be changed
    #[command(after_help = "\
Folders with their modes and access lists, links to the platform, settings, the vhost, the database's user with
its rights: what differs from the profile is mended, what is missing is made, and the site has to answer. Nothing
of what the application, its visitors or you have put there is touched. If anything goes wrong, all is as before.

What the hub says of the site is compared with what its server says; `kolga site show` tells where they differ.

Examples:
  kolga site verify blog.example.org --follow
  kolga site verify --all --follow                  every site, as one operation")]
    Verify(Act),
    /// Bring a site to another platform of its server, such as one with newer code
    #[command(after_help = "\
What could be in the way is told before anything is touched: another application, older code, too little room for the
database a second time. Visitors get the maintenance page meanwhile. The files are not copied; the database is, and
brought to what the new code wants. When the site does not answer then, all is as before. The old database goes to the
server's trash.

Examples:
  kolga site migrate blog.example.org --to wp68 --follow
  kolga site migrate blog.example.org --to wp68 --rename www.example.org --keep-alias --follow
  kolga site migrate --platform wp67 --to wp68 --stop-after 1 --follow     all sites of a platform")]
    Migrate(Migrate),
    /// Give a site another name
    #[command(after_help = "\
Folder, settings, vhost and secrets are the new name's then, and what the profile knows of addresses in the site's data
is changed. Its backups so far stay under the old name: `kolga backup list --site OLD`.

Example:
  kolga site rename old.example.org www.example.org --keep-alias --follow")]
    Rename(Rename),
    /// Bring a site to another server
    #[command(after_help = "\
Both servers are asked first, and what is in the way is told before anything is touched: a platform there that is older or not
there at all, a service that the site needs, a name that is taken, too little disk, a certificate that the site needs for
HTTPS, or that the two keep their backups in different repositories. Then visitors get the maintenance page, a backup is made
and read back, and the other server makes the site of it: the same files, rows, names, options and secrets. When the site has
answered there, what the first one had of it goes to its trash. Until then nothing of it is changed, and if anything stops the
move the site comes back as it was.

It is an operation of five stages: `kolga op show` tells how far it is, `kolga op cancel` takes it back. Where the site's names
lead is yours to change in the DNS: visitors who still come to the first server find no site there.

Examples:
  kolga site move blog.example.org --to-server web2 --follow
  kolga site move blog.example.org --to-server web2 --platform wp68 --wait")]
    Move(Move),
    /// Bring a site back to its visitors that a move holds and no move is about to
    #[command(after_help = "\
A move brings a site back by itself. This is for one that was abandoned in the middle by `kolga-worker journal abandon`, or
that a hub holds which is no more: make sure first that no other server serves the site. One that is not held stays as it is.

Examples:
  kolga site release blog.example.org --follow
  kolga site release blog.example.org --on web1 --follow")]
    Release(Release),
    /// Make a second site of one that is there
    #[command(after_help = "\
The copy is on the same server and has a database, passwords and keys of its own; the site's other names and HTTPS are not
taken along, and whoever is logged in at the site is not logged in at the copy. What the profile knows of addresses in the
site's data is changed in the copy. The site answers all the while and stays as it is. Accounts besides the
administrator's have the passwords that they have there; the administrator's is shown by `kolga-worker secret show
TARGET` on the server.

Examples:
  kolga site clone blog.example.org stage.example.org --follow
  kolga site clone blog.example.org next.example.org --platform wp68 --follow")]
    Clone(Clone),
    /// Run a maintenance command that the site's profile offers
    #[command(after_help = "\
What a command does to the site's data cannot be taken back, so it is never tried again by itself.

Examples:
  kolga site run blog.example.org --list
  kolga site run blog.example.org cache_clear --follow
  kolga site run cron --profile wordpress --follow      on all sites of a kind")]
    Run(Run),
    /// Get a link that logs you in at a site once, as its administrator
    #[command(after_help = "\
The link is good once and for five minutes, for whoever has it. It is made on the site's server for this command alone: no
log, queue or record holds it, and nothing can show it again. A site that is disabled or locked gives none out. What is
sent over HTTP can be read on the way: see `kolga site https`.

Example:
  kolga site login blog.example.org")]
    Login(Login),
    /// The names of a site: those that serve it, those that lead to it, and the main one
    #[command(subcommand)]
    Alias(Alias),
    /// Have a site answer over HTTPS, alone or beside HTTP, or not
    #[command(after_help = "\
Example:
  kolga site https blog.example.org redirect --follow

The certificate and its key lie on the site's server, `fullchain.pem` and `privkey.pem` in the site's own folder below
the one that `[tls]` in its worker.toml names; they do not pass through here. Refused, with the reason, when they are
not there, do not belong together, or are not good for every name of the site now.")]
    Https(Https),
    /// Have a site's PHP run as a Unix user of its own, or share one
    #[command(after_help = "\
With a pool to itself no other site's PHP can read its files or settings. Its files are copied, so that all of them are the
new user's to change; visitors get the maintenance page meanwhile, and when the site does not answer then, all is as
before. Caches that its backups leave out stay behind. The server needs pools: OPERATIONS, Pools.

Whoever could read its settings before knows the database's password: `kolga site backup`, then `kolga site restore`, gives it
another.

Examples:
  kolga site pool blog.example.org --to own --follow
  kolga site pool --all --on web1 --to own --at-once 1 --stop-after 1 --follow")]
    Pool(Pool),
    /// Refuse tasks that change a site, until it is unlocked
    #[command(after_help = "\
Verify, backup, clone and whatever else leaves the site as it is go on; nobody gets a login link. A task that was asked for before is not
stopped.

Example:
  kolga site lock blog.example.org --reason 'audit until Friday, ask Ada'")]
    Lock(Lock),
    /// Let tasks change a site again
    Unlock(Unlock),
    /// List the sites
    #[command(visible_alias = "ls")]
    List {
        /// Only those on this server
        #[arg(long, value_name = "SERVER")]
        server: Option<ServerName>,
        #[command(flatten)]
        part: Part,
    },
    /// Mark a site, for --label to choose by
    #[command(after_help = "Example:\n  kolga site label blog.example.org env=test owner-")]
    Label {
        /// Its name
        host: HostName,
        #[command(flatten)]
        changes: Changes,
    },
    /// Show one site
    Show {
        /// Its name
        host: HostName,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::Install(install) => install.run(client, screen).await,
            Self::Import(import) => import.run(client, screen).await,
            Self::HandOver(hand_over) => hand_over.run(client, screen).await,
            Self::Delete(delete) => delete.run(client, screen).await,
            Self::Backup(act) => act.ask(Kind::SiteBackup, client, screen).await,
            Self::Restore(restore) => restore.run(client, screen).await,
            Self::Enable(act) => act.ask(Kind::SiteEnable, client, screen).await,
            Self::Disable(act) => act.ask(Kind::SiteDisable, client, screen).await,
            Self::Verify(act) => verify::run(act, client, screen).await,
            Self::Migrate(migrate) => migrate.run(client, screen).await,
            Self::Rename(rename) => rename.run(client, screen).await,
            Self::Move(relocation) => relocation.run(client, screen).await,
            Self::Release(release) => release.run(client, screen).await,
            Self::Clone(clone) => clone.run(client, screen).await,
            Self::Login(login) => login.run(client, screen).await,
            Self::Run(run) => run.run(client, screen).await,
            Self::Alias(alias) => alias.run(client, screen).await,
            Self::Https(https) => https.run(client, screen).await,
            Self::Pool(pool) => pool.run(client, screen).await,
            Self::Lock(lock) => lock.run(client, screen).await,
            Self::Unlock(unlock) => unlock.run(client, screen).await,
            Self::List { server, part } => list(client, screen, server, part).await,
            Self::Label { host, changes } => {
                let path = format!("/v1/sites/{host}");
                changes
                    .make(&path, |site: &Site| &site.labels, client, screen)
                    .await
            }
            Self::Show { host } => {
                let site: Site = client.get(&format!("/v1/sites/{host}"), &[]).await?;
                if screen.is_json() {
                    return Ok(screen.json(&site)?);
                }
                Ok(describe(&site).show(screen)?)
            }
        }
    }
}

async fn list(
    client: &Client,
    screen: &Screen,
    server: Option<ServerName>,
    part: Part,
) -> Result<(), Trouble> {
    let list = page::List {
        path: "/v1/sites",
        query: server
            .map(|server| ("server", server.to_string()))
            .into_iter()
            .collect(),
        command: "kolga site list",
        cursor: "after",
        empty: "No sites here. Install one with: kolga site install --help",
    };
    let heading = Table::headed([
        "HOST", "SERVER", "PROFILE", "PLATFORM", "STATE", "NOTE", "AGE",
    ]);
    list.show(client, screen, part, heading, |table, site: &Site| {
        table.row([
            site.host.as_str().into(),
            site.server.as_str().into(),
            site.profile.as_str().into(),
            site.platform.as_ref().map_or("", AsRef::as_ref).into(),
            condition(site.condition),
            note(site).into(),
            age(site.created_at).into(),
        ]);
    })
    .await
}

/// What is out of the ordinary about it, in a few words.
fn note(site: &Site) -> String {
    let verified = site.verified.as_ref();
    let notes = [
        (!site.enabled, "disabled"),
        (site.locked.is_some(), "locked"),
        (
            verified.is_some_and(|found| !found.drift.is_empty()),
            "differs",
        ),
        (
            verified.is_some_and(|found| !found.problems.is_empty()),
            "problems",
        ),
    ];
    let notes: Vec<&str> = notes
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, note)| *note)
        .collect();
    notes.join(", ")
}

fn describe(site: &Site) -> Table {
    let mut table = Table::pairs();
    table.pair("site", site.host.as_str());
    table.pair_if("url", site.url.as_deref());
    table.pair("server", site.server.as_str());
    table.pair("profile", site.profile.as_str());
    table.pair_if("platform", site.platform.as_ref());
    table.pair("state", condition(site.condition));
    if !site.enabled {
        table.pair("visitors get", "the page that says that it is switched off");
    }
    if let Some(lock) = &site.locked {
        table.pair("lock", format!("{lock}, since {}", instant(lock.at)));
    }
    if site.https != kolga_protocol::naming::Https::Off {
        table.pair("https", site.https.as_str());
    }
    table.pair_if("main name", site.main.as_ref());
    for alias in &site.aliases {
        table.pair("alias", alias);
    }
    for alias in &site.redirects {
        table.pair("leads here", alias);
    }
    for (name, value) in &site.options {
        table.pair("option", format!("{name}={value}"));
    }
    table.pair_if("labels", label::shown(&site.labels));
    table.pair("asked for", instant(site.created_at));
    if let Some(verified) = &site.verified {
        verify::describe(&mut table, verified);
    }
    table.pair_if("last task", site.task.map(|id| id.to_string()));
    table
}
