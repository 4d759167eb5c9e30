//! What a command may open, when it works on folders that tenants can write to: the kernel (Landlock, Linux 5.13
//! and newer) refuses whatever lies elsewhere, however the command came by the name. A program that walks by path
//! can be led through a link that somebody puts into its way; this one arrives at nothing.
//!
//! Steps make a [`Confinement`]; [`super::supervision`] passes it to the child, which takes it on in
//! [`super::enter()`] for itself and all that it starts, and for good.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, path_beneath_rules,
};
use serde::{Deserialize, Serialize};

/// What any program needs to begin, and to reach another machine; nothing of it is a secret.
const ANYBODYS: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/ssl",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/services",
    "/etc/localtime",
    "/dev/urandom",
];
/// The newest that we know. What an older kernel cannot refuse yet is no reading.
const ABI_KNOWN: ABI = ABI::V3;

/// Where not even the oldest is offered.
const MISSING: &str = "it has no Landlock, has it switched off, or keeps it from this process";

/// Files and folders with all that is in them; those that are not there are left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// What may be read, besides what any program needs.
    pub read: Vec<PathBuf>,
    /// What may be read and changed.
    pub write: Vec<PathBuf>,
}

/// Confines this process, and whatever it becomes or starts.
///
/// # Errors
/// When the kernel cannot.
pub(super) fn confine(to: &Confinement) -> anyhow::Result<()> {
    let anybodys = ANYBODYS.iter().map(Path::new);
    let read = to.read.iter().map(PathBuf::as_path).chain(anybodys);
    let write = to.write.iter().map(PathBuf::as_path);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        // The crate keeps what the kernel has answered to itself, and names all that it could not ask for.
        .map_err(|_| anyhow::anyhow!("{MISSING}"))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(ABI_KNOWN)))?
        .add_rules(path_beneath_rules(
            write.chain([Path::new("/dev/null")]),
            AccessFs::from_all(ABI_KNOWN),
        ))?
        .restrict_self()?;
    anyhow::ensure!(status.ruleset != RulesetStatus::NotEnforced, "{MISSING}");
    Ok(())
}
