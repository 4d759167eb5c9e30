//! A tree that came out of a backup, made fit for its place. All of it is the worker's own by now, whoever's it was: the
//! worker is nobody who could give files away.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Dir, Kind, Looks};

/// The bits that lend whoever runs a file its owner's rights, or its group's.
const LENDING: u32 = 0o6000;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Files and folders in which the user was let in.
    pub let_in: u64,
    /// Those where that could not be.
    pub left: u64,
    /// Those that would have lent the worker's rights to whoever runs them, and do not any more.
    pub lending: u64,
}

impl Dir {
    /// Takes from every file here what lends the worker's rights to others, and gives `user` what the owner may in all
    /// that `theirs` names by its path below this folder: it was that user's. What lists say of the first user of each pair
    /// of `renamed` they say of the second then. Follows no link.
    ///
    /// # Errors
    /// When something cannot be looked at or changed, or `check` says so.
    pub fn settle_tree(
        &self,
        user: u32,
        theirs: &dyn Fn(&Path) -> bool,
        renamed: &[(u32, u32)],
        check: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Settled> {
        let mut settled = Settled::default();
        let mut waiting = vec![PathBuf::new()];
        while let Some(path) = waiting.pop() {
            let folder = match path.as_os_str().is_empty() {
                true => self.clone(),
                false => self.dir(&path)?,
            };
            for name in folder.names()? {
                check()?;
                let below = path.join(&name);
                let looks = folder.looks(&name)?;
                let looks = looks.with_context(|| format!("{} is gone", below.display()))?;
                let is_theirs = theirs(&below);
                let lists = Lists {
                    user: is_theirs.then_some(user),
                    renamed,
                };
                settle(&folder, Path::new(&name), looks, &lists, &mut settled)?;
                if looks.kind == Kind::Dir {
                    waiting.push(below);
                }
            }
        }
        Ok(settled)
    }
}

/// What becomes of the lists of one file or folder.
struct Lists<'a> {
    /// Who is let in.
    user: Option<u32>,
    renamed: &'a [(u32, u32)],
}

fn settle(
    folder: &Dir,
    name: &Path,
    looks: Looks,
    lists: &Lists<'_>,
    settled: &mut Settled,
) -> anyhow::Result<()> {
    let mut to = looks.mode;
    match looks.kind {
        Kind::File => to &= !LENDING,
        // One that its owner could not look into would keep the worker out, too.
        Kind::Dir if lists.user.is_some() => to = (to & !LENDING) | 0o700,
        _ => {}
    }
    if to != looks.mode {
        folder.change_mode(name, looks.mode, to)?;
        settled.lending += u64::from(looks.mode & LENDING != 0);
    }
    let own = rustix::process::geteuid().as_raw();
    if looks.owner != own || !matches!(looks.kind, Kind::File | Kind::Dir) {
        return Ok(());
    }
    // First, since who is let in may be one of those that others become.
    if !lists.renamed.is_empty() && folder.rename_users(name, lists.renamed).is_err() {
        settled.left += 1;
    }
    if let Some(user) = lists.user {
        match folder.let_in(name, user) {
            Ok(()) => settled.let_in += 1,
            Err(_) => settled.left += 1,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::files::Access;
    use crate::testing::Scratch;

    /// A number that is nobody's here.
    const WEB: u32 = 54_321;

    #[test]
    fn what_was_another_users_is_that_users_to_change_and_nothing_lends_rights() {
        let scratch = Scratch::new();
        let top = Dir::open(scratch.path()).expect("there");
        std::fs::create_dir_all(scratch.path().join("up/deep")).expect("folders");
        for file in ["up/deep/theirs", "up/ours", "lends"] {
            std::fs::write(scratch.path().join(file), "x").expect("a file");
        }
        let mode = |path: &str, mode: u32| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(scratch.path().join(path), permissions).expect("set");
        };
        let outside = Scratch::new();
        let target = outside.path().join("target");
        std::fs::write(&target, "x").expect("a file");
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o4755)).expect("set");
        symlink(&target, scratch.path().join("link")).expect("a link");
        mode("lends", 0o4755);
        mode("up/deep/theirs", 0o6644);
        mode("up/deep", 0o755);
        let ours = top.dir("up").expect("there").rights().expect("looked");
        let theirs = |path: &Path| path.starts_with("up/deep");
        let settled = top
            .settle_tree(WEB, &theirs, &[], &mut || Ok(()))
            .expect("settled");
        assert_eq!((settled.let_in, settled.left, settled.lending), (2, 0, 2));
        let is = |path: &Path| {
            std::fs::symlink_metadata(path)
                .expect("there")
                .permissions()
                .mode()
                & 0o7777
        };
        assert_eq!(is(&scratch.path().join("lends")), 0o755);
        assert_eq!(
            is(&scratch.path().join("up/deep/theirs")),
            0o664,
            "the mask shows as the group"
        );
        assert_eq!(is(&target), 0o4755, "no link is followed");
        let deep = top.dir("up/deep").expect("there").rights().expect("looked");
        let wanted = Dir::open(outside.path()).expect("there");
        wanted.set_mode(0o755).expect("set");
        assert_ne!(wanted.rights().expect("looked"), deep);
        wanted
            .set_access(&[(WEB, Access::Write)], false)
            .expect("lists work here");
        assert_eq!(deep.mode, 0o775);
        assert_eq!(
            top.dir("up").expect("there").rights().expect("looked"),
            ours
        );
        let again = top
            .settle_tree(WEB, &theirs, &[], &mut || Ok(()))
            .expect("settled");
        assert_eq!(again.lending, 0);
    }
}
