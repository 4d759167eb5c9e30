//! `kolga doctor`: what is well, what is not, and what to do. What the hub can see it says itself;
//! whether there is a hub, and whether it takes the token, can be seen only from here.

use super::Global;
use super::client::Client;
use super::screen::{Screen, Style};
use super::table::{Cell, Table};
use super::trouble::Trouble;
use crate::wire::{CheckStatus, Doctor, DoctorCheck};

/// Probes, and fails when something does not work.
pub(super) async fn run(global: &Global, screen: &Screen) -> Result<(), Trouble> {
    let health = Client::without_token(global)?.health().await?;
    let mut doctor: Doctor = Client::connect(global)
        .await?
        .get("/v1/doctor", &[])
        .await?;
    let here = [
        DoctorCheck {
            name: "hub".to_owned(),
            status: if health.status == "ok" {
                CheckStatus::Ok
            } else {
                CheckStatus::Warn
            },
            detail: format!(
                "{}, version {}: {}",
                global.hub, health.version, health.status
            ),
            hint: None,
        },
        DoctorCheck {
            name: "token".to_owned(),
            status: CheckStatus::Ok,
            detail: format!("{} is taken", global.token_file.display()),
            hint: None,
        },
    ];
    doctor.checks.splice(0..0, here);
    let worst = doctor.checks.iter().map(|check| check.status).max();
    if screen.is_json() {
        screen.json(&doctor)?;
    } else {
        show(screen, &doctor)?;
    }
    match worst {
        Some(CheckStatus::Fail) => Err(Trouble::TaskFailed),
        _ => Ok(()),
    }
}

fn show(screen: &Screen, doctor: &Doctor) -> Result<(), Trouble> {
    let mut about = Table::pairs();
    about.pair("database", &doctor.database);
    about.pair("broker", &doctor.broker);
    about.show(screen)?;
    screen.line("")?;
    let mut table = Table::pairs();
    for check in &doctor.checks {
        let (style, word) = match check.status {
            CheckStatus::Ok => (Style::Good, "ok"),
            CheckStatus::Warn => (Style::Warn, "look"),
            CheckStatus::Fail => (Style::Bad, "FAIL"),
        };
        table.row([
            Cell::styled(style, word),
            check.name.as_str().into(),
            check.detail.as_str().into(),
        ]);
    }
    table.show(screen)?;
    // In full and below the table, which may have cut them.
    for check in doctor.checks.iter().filter(|c| c.status != CheckStatus::Ok) {
        let name = Cell::styled(Style::Bold, format!("{}:", check.name));
        screen.line("")?;
        let mut advice = Table::pairs();
        advice.row([name]);
        advice.show(screen)?;
        for text in [Some(&check.detail), check.hint.as_ref()]
            .into_iter()
            .flatten()
        {
            screen.line(&format!("  {}", kolga_protocol::message::printable(text)))?;
        }
    }
    Ok(())
}
