//! Which links of a site lead into its platform, and where they are to lead when it comes to another one: what step
//! `mend_site` is to do. It only looks, by descriptor, and at no more than the places that the profile names; what else
//! stands there is the site's own, and stays.
//!
//! Called by `tasks::site_migrate` when the task is planned; the site is the task's alone by then.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::Context as _;

use crate::files::Dir;
use crate::profile::manifest::Link;
use crate::steps::make_site_folders::split;
use crate::survey::Mend;

/// What has to be done for these links of the site in `top`, from the platform's code `old` to `new`.
///
/// # Errors
/// When the new platform lacks what the profile wants, or something cannot be looked at.
pub fn relink(links: &[Link], top: &Dir, old: &Path, new: &Path) -> anyhow::Result<Vec<Mend>> {
    let mut mends = Vec::new();
    for link in links {
        let (was, is) = (old.join(&link.to), new.join(&link.to));
        anyhow::ensure!(
            link.optional || is.exists(),
            "the platform has no {}, which its profile wants to link to",
            link.to
        );
        if !link.each {
            let (folder, name) = split(top, link.path.as_ref())?;
            let is = is.exists().then_some(is);
            one(
                &mut mends,
                &folder,
                &name,
                link.path.as_str(),
                &was,
                is.as_deref(),
            )?;
            continue;
        }
        let folder = top.dir(&link.path)?;
        let mut names: BTreeSet<OsString> = folder.names()?.into_iter().collect();
        if is.exists() {
            names.extend(Dir::open(&is)?.names()?);
        }
        for name in names {
            let place = format!(
                "{}/{}",
                link.path,
                name.to_str()
                    .context("the name of a part of the platform is not text")?
            );
            let is = is.join(&name);
            let is = is.exists().then_some(is);
            one(
                &mut mends,
                &folder,
                &name,
                &place,
                &was.join(&name),
                is.as_deref(),
            )?;
        }
    }
    Ok(mends)
}

/// What is to be done at one place.
fn one(
    mends: &mut Vec<Mend>,
    folder: &Dir,
    name: &OsStr,
    place: &str,
    was: &Path,
    is: Option<&Path>,
) -> anyhow::Result<()> {
    let leads_there = folder.link_target(name)?.as_deref() == Some(was);
    if leads_there {
        mends.push(Mend::DropLink {
            path: place.to_owned(),
            target: was.to_owned(),
        });
    }
    if let Some(is) = is
        && (leads_there || folder.kind(name)?.is_none())
    {
        mends.push(Mend::MakeLink {
            path: place.to_owned(),
            target: is.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::testing::Scratch;

    const LINKS: &str = "[[links]]\npath = \"themes\"\nto = \"t\"\neach = true\n\
                         [[links]]\npath = \"lang\"\nto = \"l\"\noptional = true\n";

    #[derive(serde::Deserialize)]
    struct Links {
        links: Vec<Link>,
    }

    #[test]
    fn what_leads_into_the_old_platform_leads_into_the_new_one_and_the_rest_stays() {
        let scratch = Scratch::new();
        let [old, new, site] = ["old", "new", "site"].map(|name| scratch.path().join(name));
        for folder in [
            "old/t/both",
            "old/t/gone",
            "old/l",
            "new/t/both",
            "new/t/fresh",
            "site/themes/own",
        ] {
            std::fs::create_dir_all(scratch.path().join(folder)).expect("a folder");
        }
        for (at, to) in [
            ("themes/both", "t/both"),
            ("themes/gone", "t/gone"),
            ("lang", "l"),
        ] {
            symlink(old.join(to), site.join(at)).expect("a link");
        }
        symlink("/etc", site.join("themes/elsewhere")).expect("a link");
        let links: Links = toml::from_str(LINKS).expect("read");
        let top = Dir::open(&site).expect("there");
        let mends = relink(&links.links, &top, &old, &new).expect("looked");
        let told: Vec<String> = mends
            .iter()
            .map(|mend| match mend {
                Mend::DropLink { path, .. } => format!("- {path}"),
                Mend::MakeLink { path, target } => {
                    format!(
                        "+ {path} {}",
                        target.strip_prefix(&new).expect("new").display()
                    )
                }
                other => format!("{other:?}"),
            })
            .collect();
        let wanted = [
            "- themes/both",
            "+ themes/both t/both",
            "+ themes/fresh t/fresh",
            "- themes/gone",
            "- lang",
        ];
        assert_eq!(told, wanted);
        std::fs::remove_dir_all(new.join("t")).expect("gone");
        let refused = relink(&links.links, &top, &old, &new).expect_err("a must");
        assert!(refused.to_string().contains("no t"), "{refused}");
    }
}
