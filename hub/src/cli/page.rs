//! Long lists, a page at a time: how much of one is wanted, asking for it, and showing it. Commands hand over
//! what is theirs alone, the path and how an entry looks as a row.

use clap::Args;
use kolga_protocol::message::printable;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::Client;
use super::screen::Screen;
use super::table::Table;
use super::trouble::Trouble;
use crate::wire::Page;

/// Entries asked for at once when all are wanted: the hub gives no more.
pub(super) const MOST: u32 = 1000;

/// How much of a list is wanted.
#[derive(Debug, Args)]
pub(super) struct Part {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "all",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    limit: u32,
    /// All of them, however many there are
    #[arg(long)]
    all: bool,
    /// Only those after this one, to turn the page
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
}

/// A list, and how it is shown.
pub(super) struct List<'a> {
    /// Where the hub has it.
    pub(super) path: &'static str,
    /// What narrows it down.
    pub(super) query: Vec<(&'static str, String)>,
    /// The command that gives it, without options.
    pub(super) command: &'static str,
    /// The option that turns the page, here and at the hub.
    pub(super) cursor: &'static str,
    /// What is said where there is nothing.
    pub(super) empty: &'a str,
}

impl List<'_> {
    /// The part of it that is wanted, as names sort.
    pub(super) async fn show<T: Serialize + DeserializeOwned>(
        mut self,
        client: &Client,
        screen: &Screen,
        part: Part,
        heading: Table,
        row: impl Fn(&mut Table, &T),
    ) -> Result<(), Trouble> {
        self.query
            .extend(part.after.map(|after| (self.cursor, after)));
        let limit = (!part.all).then_some(part.limit);
        self.show_part(client, screen, limit, heading, row).await
    }

    /// At most `limit` entries of it, or all.
    pub(super) async fn show_part<T: Serialize + DeserializeOwned>(
        self,
        client: &Client,
        screen: &Screen,
        limit: Option<u32>,
        heading: Table,
        row: impl Fn(&mut Table, &T),
    ) -> Result<(), Trouble> {
        let (command, cursor, empty) = (self.command, self.cursor, self.empty);
        let mut pages = Pages::new(client, self.path, cursor, self.query);
        let Some(limit) = limit else {
            return if screen.is_json() {
                all_as_json::<T>(&mut pages, screen).await
            } else {
                all_as_table(&mut pages, screen, heading, row, empty).await
            };
        };
        pages.limit = limit;
        let Some(page) = pages.next::<T>().await? else {
            return Ok(());
        };
        if screen.is_json() {
            return Ok(screen.json(&page)?);
        }
        if page.items.is_empty() {
            return Ok(screen.line(empty)?);
        }
        let mut table = heading;
        page.items.iter().for_each(|item| row(&mut table, item));
        table.show(screen)?;
        if let Some(next) = &page.next {
            screen.line(&format!(
                "There are more: {command} --{cursor} {}, or --all",
                printable(next)
            ))?;
        }
        Ok(())
    }
}

/// One document of the form of a page, written as it comes.
async fn all_as_json<T: Serialize + DeserializeOwned>(
    pages: &mut Pages<'_>,
    screen: &Screen,
) -> Result<(), Trouble> {
    let mut before = "{\"items\": [\n";
    while let Some(page) = pages.next::<T>().await? {
        for item in &page.items {
            let text = serde_json::to_string(item).map_err(std::io::Error::from)?;
            screen.write(&format!("{before}{text}"))?;
            before = ",\n";
        }
    }
    let open = if before.starts_with('{') { before } else { "" };
    Ok(screen.line(&format!("{open}\n]}}"))?)
}

async fn all_as_table<T: Serialize + DeserializeOwned>(
    pages: &mut Pages<'_>,
    screen: &Screen,
    mut table: Table,
    row: impl Fn(&mut Table, &T),
    empty: &str,
) -> Result<(), Trouble> {
    let mut any = false;
    while let Some(page) = pages.next::<T>().await? {
        if page.items.is_empty() {
            break;
        }
        any = true;
        page.items.iter().for_each(|item| row(&mut table, item));
        table.show_on(screen)?;
    }
    if !any {
        screen.line(empty)?;
    }
    Ok(())
}

/// A list, page by page.
pub(super) struct Pages<'a> {
    client: &'a Client,
    path: &'a str,
    cursor: &'static str,
    query: Vec<(&'static str, String)>,
    limit: u32,
    over: bool,
}

impl<'a> Pages<'a> {
    /// From its beginning, unless the query says otherwise.
    pub(super) fn new(
        client: &'a Client,
        path: &'a str,
        cursor: &'static str,
        query: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            client,
            path,
            cursor,
            query,
            limit: MOST,
            over: false,
        }
    }

    /// The next page; none after the last.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Page<T>>, Trouble> {
        if self.over {
            return Ok(None);
        }
        let mut query = self.query.clone();
        query.push(("limit", self.limit.to_string()));
        let page: Page<T> = self.client.get(self.path, &query).await?;
        match &page.next {
            Some(next) => {
                self.query.retain(|(name, _)| *name != self.cursor);
                self.query.push((self.cursor, next.clone()));
            }
            None => self.over = true,
        }
        Ok(Some(page))
    }
}
