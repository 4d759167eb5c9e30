//! `kolga site alias`: the names of a site besides its own.

use clap::{Args, Subcommand};
use kolga_protocol::names::{HostName, SiteAlias};
use kolga_protocol::naming::Names;
use kolga_protocol::task::Kind;
use serde_json::{Value, json};

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::table::Table;
use super::super::trouble::Trouble;
use super::act::ask_for;
use crate::wire::Site;

/// What can be done with a site's names.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Alias {
    /// Give a site names, or have names of it do something else
    #[command(after_help = "\
Examples:
  kolga site alias add blog.example.org blog.example.net '*.blog.example.org' --follow
  kolga site alias add blog.example.org old.example.org --redirect --follow

A wildcard is every name below, and not the name itself. No two sites may share a name, nor may one have a wildcard
that would hold a name of another.")]
    Add {
        #[command(flatten)]
        names: NamesOf,
        /// Have them lead to the main name, instead of serving the site
        #[arg(long)]
        redirect: bool,
        #[command(flatten)]
        follow: Follow,
    },
    /// Take names from a site
    #[command(visible_alias = "rm")]
    Remove {
        #[command(flatten)]
        names: NamesOf,
        #[command(flatten)]
        follow: Follow,
    },
    /// Choose the name that visitors are sent to
    #[command(after_help = "\
Examples:
  kolga site alias main example.org --www --follow        www.example.org is it, example.org leads there
  kolga site alias main example.org --bare --follow       the other way round
  kolga site alias main example.org shop.example.net --follow

The site's own name stays its name for you, whatever visitors are sent to. A main name that the site has not yet
becomes one of its names; the main name before it leads there from now on. What the application calls itself in its
settings follows.")]
    Main(Main),
    /// Show a site's names and what they do
    #[command(visible_alias = "ls")]
    List {
        /// The site
        host: HostName,
    },
}

/// A site, and names.
#[derive(Debug, Args)]
pub(in crate::cli) struct NamesOf {
    /// The site
    host: HostName,
    /// Names, *.example.org too
    #[arg(required = true, value_name = "NAME")]
    names: Vec<SiteAlias>,
}

/// `kolga site alias main`
#[derive(Debug, Args)]
pub(in crate::cli) struct Main {
    /// The site
    host: HostName,
    /// The name
    #[arg(required_unless_present_any = ["www", "bare"])]
    name: Option<HostName>,
    /// The site's name with www. before it; the one without leads there
    #[arg(long, conflicts_with_all = ["name", "bare"])]
    www: bool,
    /// The site's name without www. before it; the one with it leads there
    #[arg(long, conflicts_with = "name")]
    bare: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Alias {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let (host, params, follow) = match self {
            Self::Add {
                names,
                redirect,
                follow,
            } => {
                let list = if redirect { "redirect" } else { "serve" };
                (names.host, json!({ list: names.names }), follow)
            }
            Self::Remove { names, follow } => (names.host, json!({"remove": names.names}), follow),
            Self::Main(main) => (main.host.clone(), main.params()?, main.follow),
            Self::List { host } => return list(&host, client, screen).await,
        };
        let Value::Object(params) = params else {
            return Ok(());
        };
        ask_for(&host, Kind::SiteNames, params, follow, client, screen).await
    }
}

impl Main {
    fn params(&self) -> Result<Value, Trouble> {
        let Some((main, other)) = self.pair()? else {
            return Ok(json!({"main": self.name}));
        };
        Ok(json!({"main": main, "redirect": [other]}))
    }

    /// Of the site's name with and without `www.` the one that is wanted, and the other.
    fn pair(&self) -> Result<Option<(HostName, HostName)>, Trouble> {
        let host = self.host.as_str();
        let bare = host.strip_prefix("www.").unwrap_or(host);
        let parse = |name: &str| {
            name.parse::<HostName>().map_err(|error| Trouble::Usage {
                message: error.to_string(),
                hint: "Name the main name itself.".to_owned(),
            })
        };
        if !self.www && !self.bare {
            return Ok(None);
        }
        let (bare, www) = (parse(bare)?, parse(&format!("www.{bare}"))?);
        Ok(Some(if self.www { (www, bare) } else { (bare, www) }))
    }
}

async fn list(host: &HostName, client: &Client, screen: &Screen) -> Result<(), Trouble> {
    let site: Site = client.get(&format!("/v1/sites/{host}"), &[]).await?;
    let names = Names {
        main: site.main,
        aliases: site.aliases,
        redirects: site.redirects,
    };
    if screen.is_json() {
        return Ok(screen.json(&names)?);
    }
    let mut table = Table::headed(["NAME", "DOES"]);
    let main = names.main(host);
    let mut row = |name: &str, does: &str| table.row([name.into(), does.into()]);
    row(main.as_str(), "is what visitors are sent to");
    for name in &names.aliases {
        row(name.as_str(), "serves the site");
    }
    for name in names.leading(host) {
        row(name.as_str(), &format!("leads to {main}"));
    }
    Ok(table.show(screen)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main(host: &str, www: bool, bare: bool) -> Value {
        let main = Main {
            host: host.parse().expect("a host"),
            name: None,
            www,
            bare,
            follow: Follow::WAIT,
        };
        main.params().expect("a pair")
    }

    #[test]
    fn of_a_pair_one_is_the_main_name_and_the_other_leads_to_it() {
        for host in ["example.org", "www.example.org"] {
            let www = json!({"main": "www.example.org", "redirect": ["example.org"]});
            assert_eq!(main(host, true, false), www);
            let bare = json!({"main": "example.org", "redirect": ["www.example.org"]});
            assert_eq!(main(host, false, true), bare);
        }
    }
}
