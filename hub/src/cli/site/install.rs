//! `kolga site install`: a new site.

use clap::Args;
use kolga_protocol::names::{
    DATABASE_OPTION, Engine, HostName, OptionName, OptionValue, PlatformName, ProfileName,
    ServerName, SiteAlias,
};

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use crate::wire::{NewSite, SiteAnswer};

/// `kolga site install`
#[derive(Debug, Args)]
pub(in crate::cli) struct Install {
    /// Its name in DNS
    host: HostName,
    /// Where to install it
    #[arg(long, value_name = "SERVER")]
    server: ServerName,
    /// The kind of site, such as static, php, wordpress or mediawiki
    #[arg(long, value_name = "PROFILE")]
    profile: ProfileName,
    /// The platform that it shares with others, where the profile wants one
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformName>,
    /// Another name that it answers to, *.example.org too; may be given again
    #[arg(long = "alias", value_name = "HOST")]
    aliases: Vec<SiteAlias>,
    /// What the profile lets you choose, such as title='My blog'; may be given again
    #[arg(long = "option", short, value_name = "NAME=VALUE", value_parser = option)]
    options: Vec<(OptionName, OptionValue)>,
    /// Have its PHP run as a Unix user that is this site's alone, in a php-fpm of its own; the same as
    /// --option pool=own
    #[arg(long)]
    own_pool: bool,
    /// Where its data are to be, for a profile that takes both: mariadb or postgresql
    #[arg(long, value_name = "DATABASE", value_parser = database)]
    database: Option<(OptionName, OptionValue)>,
    #[command(flatten)]
    follow: Follow,
}

impl Install {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let own = self.own_pool.then(own_pool).transpose();
        let own = own.map_err(anyhow::Error::msg)?;
        let wish = NewSite {
            host: self.host,
            server: self.server,
            profile: self.profile,
            platform: self.platform,
            aliases: self.aliases,
            options: self
                .options
                .into_iter()
                .chain(own)
                .chain(self.database)
                .collect(),
        };
        let answer: SiteAnswer = client.post("/v1/sites", &wish).await?;
        self.follow
            .conclude(client, screen, &answer.task, &answer)
            .await
    }
}

/// What a site is asked to have its own pool with.
fn own_pool() -> Result<(OptionName, OptionValue), String> {
    option("pool=own")
}

pub(super) fn option(text: &str) -> Result<(OptionName, OptionValue), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write it as NAME=VALUE, such as title='My blog'")?;
    let name = name.parse().map_err(|e| format!("{e}"))?;
    let value = value.parse().map_err(|e| format!("{e}"))?;
    Ok((name, value))
}

/// The choice of a database's server is an option like others.
fn database(text: &str) -> Result<(OptionName, OptionValue), String> {
    let engine: Engine = text.parse()?;
    option(&format!("{DATABASE_OPTION}={engine}"))
}

#[cfg(test)]
mod tests {
    use super::{database, option};

    #[test]
    fn a_database_is_an_option_of_one_of_two_values() {
        let (name, value) = database("postgresql").expect("there is such");
        assert_eq!((name.as_str(), value.as_str()), ("database", "postgresql"));
        let error = database("oracle").expect_err("there is not");
        assert!(error.contains("mariadb or postgresql"), "{error}");
    }

    #[test]
    fn an_option_is_a_name_and_a_value_that_may_hold_anything_printable() {
        let (name, value) = option("title=a = b").expect("a good option");
        assert_eq!((name.as_str(), value.as_str()), ("title", "a = b"));
        assert!(option("title").is_err());
        assert!(option("Title=x").is_err());
        assert!(option("title=a\nb").is_err());
        super::own_pool().expect("an option");
    }
}
