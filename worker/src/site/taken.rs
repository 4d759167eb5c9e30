//! Names that a site of this spoke answers to already.
//!
//! Asked by whatever gives a site its names: when it is made, comes from elsewhere, or is renamed.

use std::collections::BTreeSet;

use kolga_protocol::names::{HostName, SiteAlias};

use crate::registry::Registry;

/// Refuses names that a site of this spoke answers to already, and wildcards that would hold some of its.
///
/// # Errors
/// Names the name and the site.
pub fn refuse_taken_names(
    registry: &Registry,
    host: &HostName,
    aliases: &[SiteAlias],
) -> anyhow::Result<()> {
    refuse_taken_names_but(registry, host, aliases, None)
}

/// The same for a site that is to have them in place of the names that it has.
///
/// # Errors
/// Names the name and the site.
pub fn refuse_taken_names_but(
    registry: &Registry,
    host: &HostName,
    aliases: &[SiteAlias],
    but: Option<&HostName>,
) -> anyhow::Result<()> {
    let mut wanted = BTreeSet::from([SiteAlias::from(host.clone())]);
    for alias in aliases {
        anyhow::ensure!(
            wanted.insert(alias.clone()),
            "{alias} is named twice: once is enough"
        );
    }
    let overlapping = |name: &SiteAlias| wanted.iter().find(|wanted| wanted.overlaps(name));
    let sites = registry.sites.list()?.into_iter();
    for site in sites.filter(|site| Some(&site.host) != but) {
        anyhow::ensure!(
            site.host != *host,
            "there is a site {host} on this spoke already: delete it first"
        );
        for name in site.names().all(&site.host) {
            let Some(wanted) = overlapping(&name) else {
                continue;
            };
            anyhow::ensure!(
                *wanted != name,
                "{name} is a name of the site {} already: choose another, or delete that site",
                site.host
            );
            anyhow::bail!(
                "{wanted} overlaps with {name}, which is a name of the site {}: choose another",
                site.host
            );
        }
    }
    Ok(())
}
