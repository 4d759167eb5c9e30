//! Whether all is there that a recipe needs, looked at before anything is done.

use std::collections::BTreeSet;
use std::path::Path;

use super::argv::Argument;
use super::values::Values;
use super::{Recipe, trust};
use crate::cx::Cx;

/// Where systemd looks for units.
const UNITS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

impl Recipe {
    /// Looks whether all is there, and what must not be is not.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn ready(&self, values: &Values, cx: &Cx) -> anyhow::Result<()> {
        let mut wrong = self.missing();
        let needs = &self.manifest.needs;
        let path = |argument: &Argument| argument.fill(values);
        for argument in &needs.paths {
            let path = path(argument)?;
            if std::fs::metadata(&path).is_err() {
                wrong.push(format!("{path} is not there, or cannot be looked at"));
            }
        }
        for argument in &needs.absent {
            let path = path(argument)?;
            if std::fs::symlink_metadata(&path).is_ok() {
                wrong.push(format!("{path} is there already"));
            }
        }
        let others = self.manifest.steps.iter().any(|step| step.run_as.is_some());
        if others && !cx.spoke.supervision.has_cgroups() {
            wrong.push(
                "some steps run as another user, whose processes this worker could not end: it needs cgroups \
                 (Delegate=yes in its unit)"
                    .to_owned(),
            );
        }
        if self.manifest.steps.iter().any(|step| step.confined_to_site)
            && let Err(error) = cx.spoke.supervision.need_confinement()
        {
            wrong.push(format!("some steps are confined_to_site, and {error:#}"));
        }
        let name = &self.manifest.name;
        anyhow::ensure!(
            wrong.is_empty(),
            "recipe {name} cannot run here: {}; nothing was done",
            wrong.join("; ")
        );
        Ok(())
    }

    /// Which programs and units are not there, or not to be trusted.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut programs: BTreeSet<&Path> = self
            .manifest
            .needs
            .programs
            .iter()
            .map(AsRef::as_ref)
            .collect();
        for step in &self.manifest.steps {
            let of = step
                .commands()
                .filter_map(|(_, command)| command.first()?.literal());
            programs.extend(of.map(Path::new));
            if step.run_as.is_some() {
                programs.insert(Path::new(super::call::SUDO));
            }
        }
        let programs = programs
            .into_iter()
            .filter_map(|path| trust::program(path).err());
        let mut wrong: Vec<String> = programs.map(|error| format!("{error:#}")).collect();
        for unit in &self.manifest.needs.units {
            if !is_installed(unit) {
                wrong.push(format!("systemd's unit {unit} is not installed"));
            }
        }
        wrong
    }
}

/// Whether there is a file for the unit; `name@.service` for each of its instances.
fn is_installed(unit: &str) -> bool {
    let template = unit.split_once('@').and_then(|(name, instance)| {
        let (_, kind) = instance.rsplit_once('.')?;
        Some(format!("{name}@.{kind}"))
    });
    let files: Vec<&str> = [Some(unit), template.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    UNITS.iter().any(|folder| {
        let there = |file: &&str| Path::new(folder).join(file).exists();
        files.iter().any(there)
    })
}
