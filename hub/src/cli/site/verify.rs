//! `kolga site verify`: a site becomes what it should be, and both records of it are compared.

use kolga_protocol::task::Kind;

use super::super::client::Client;
use super::super::screen::{Screen, Style};
use super::super::table::{Cell, Table};
use super::super::time::instant;
use super::super::trouble::Trouble;
use super::act::Act;
use crate::wire::{Site, Verified};

pub(super) async fn run(act: Act, client: &Client, screen: &Screen) -> Result<(), Trouble> {
    let shown = act.one().filter(|_| act.stays() && !screen.is_json());
    let shown = shown.cloned();
    act.ask(Kind::SiteVerify, client, screen).await?;
    let Some(host) = shown else { return Ok(()) };
    let site: Site = client.get(&format!("/v1/sites/{host}"), &[]).await?;
    let mut table = Table::pairs();
    if let Some(verified) = &site.verified {
        differences(&mut table, verified);
    }
    Ok(table.show(screen)?)
}

/// What a site was found to be.
pub(super) fn describe(table: &mut Table, verified: &Verified) {
    let mended = match verified.changes {
        0 => "nothing had to be mended".to_owned(),
        1 => "one thing was mended".to_owned(),
        changes => format!("{changes} things were mended"),
    };
    table.pair("verified", format!("{}: {mended}", instant(verified.at)));
    table.pair_if("database", verified.database.as_ref());
    for problem in &verified.problems {
        table.pair("problem", Cell::styled(Style::Bad, problem.as_str()));
    }
    differences(table, verified);
}

fn differences(table: &mut Table, verified: &Verified) {
    for drift in &verified.drift {
        let text = format!(
            "{}: the hub says {}, the spoke {}",
            drift.what, drift.hub, drift.spoke
        );
        table.pair("differs", Cell::styled(Style::Warn, text));
    }
}
