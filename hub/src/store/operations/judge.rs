//! What is wrong with an operation whatever it is carried out on: a target that none of the sites chosen can have. Where
//! some can, the others are skipped one by one, each with its reason.

use kolga_protocol::names::{PlatformName, ServerName};
use kolga_protocol::task::Kind;

use super::super::moving::takes_it;
use super::super::tx::{Outcome, Refusal, Tx};
use super::select::Chosen;
use super::start::Work;

/// Servers that are named in one sentence.
const NAMED: usize = 3;
/// What is said of a platform that is not there.
const UNKNOWN: &str = "platform_unknown";

/// Refuses what could be done for none of them.
pub(super) async fn refuse_for_all(
    tx: &mut Tx<'_>,
    work: &Work,
    chosen: &Chosen,
) -> Result<Outcome<()>, sqlx::Error> {
    let target = work.params.get("platform").and_then(|name| name.as_str());
    let target = target.and_then(|name| name.parse::<PlatformName>().ok());
    let (Kind::SiteMigrate, Some(platform)) = (work.kind, target) else {
        return Ok(Ok(()));
    };
    let mut refusals: Vec<Refusal> = Vec::new();
    for ((server, profile), host) in &chosen.profiles {
        match takes_it(tx, server, &platform, host, profile).await? {
            Ok(()) => return Ok(Ok(())),
            Err(refusal) => refusals.push(refusal),
        }
    }
    // What comes nearest to what was meant.
    let nearest = refusals.iter().find(|refusal| refusal.code != UNKNOWN);
    let nearest = nearest.or(refusals.first());
    Ok(match nearest {
        // Nothing was chosen, which has been told.
        None => Ok(()),
        Some(refusal) if refusal.code != UNKNOWN || refusals.len() == 1 => Err(refusal.clone()),
        Some(_) => Err(Refusal::not_found(
            UNKNOWN,
            format!(
                "platform {platform} is on none of the servers of the sites chosen: {}",
                named(chosen)
            ),
            "see `kolga platform list`, or build it there with `kolga platform add`".to_owned(),
        )),
    })
}

/// The first servers, and how many there are besides.
fn named(chosen: &Chosen) -> String {
    let mut all: Vec<&ServerName> = chosen.profiles.keys().map(|(server, _)| server).collect();
    all.dedup();
    let first: Vec<&str> = all.iter().take(NAMED).map(|name| name.as_str()).collect();
    match all.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
