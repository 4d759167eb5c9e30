//! Access control lists of folders: how the web server's user gets at a site without the site being open
//! to everybody. Written as the kernel takes them (`linux/posix_acl_xattr.h`), on the descriptor.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use anyhow::Context as _;
use rustix::fs::{AtFlags, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Dir;

const ACCESS: &str = "system.posix_acl_access";
const INHERITED: &str = "system.posix_acl_default";
const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NO_ID: u32 = u32::MAX;

/// What one user may do in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Pass through it to what is below, not list it.
    Pass,
    /// Read it.
    Read,
    /// Read and write it.
    Write,
}

impl Access {
    fn bits(self) -> u16 {
        match self {
            Self::Pass => 0o1,
            Self::Read => 0o5,
            Self::Write => 0o7,
        }
    }
}

/// Who may do what in a folder, whole: its mode and its lists as the kernel has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// The mode; where there is a list, the group's part of it bounds the users that the list names.
    pub mode: u32,
    /// The list of the folder itself.
    access: Option<Vec<u8>>,
    /// The list of what is made in it later.
    inherited: Option<Vec<u8>>,
}

impl Rights {
    /// Those that [`Dir::set_access`] followed by [`Dir::set_mode`] give; without users, the mode's alone.
    #[must_use]
    pub fn new(mode: u32, users: &[(u32, Access)], inherited: bool) -> Self {
        if users.is_empty() {
            return Self {
                mode,
                access: None,
                inherited: None,
            };
        }
        let bits = |shift: u32| u16::try_from((mode >> shift) & 0o7).unwrap_or_default();
        Self {
            mode,
            access: Some(encode_within(users, bits(6), bits(3), bits(0))),
            inherited: inherited.then(|| encode(users)),
        }
    }
}

impl Dir {
    /// Who may do what in this folder.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn rights(&self) -> anyhow::Result<Rights> {
        let context = || format!("cannot look at the rights of {}", self.path().display());
        let mode = rustix::fs::fstat(self).with_context(context)?.st_mode & 0o7777;
        let list = |name| {
            let mut bytes = vec![0; 4096];
            match rustix::fs::fgetxattr(self, name, &mut bytes) {
                Ok(length) => {
                    bytes.truncate(length);
                    Ok(Some(bytes))
                }
                Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
                Err(error) => Err(error).with_context(context),
            }
        };
        Ok(Rights {
            mode,
            access: list(ACCESS)?,
            inherited: list(INHERITED)?,
        })
    }

    /// Gives this folder exactly these rights.
    ///
    /// # Errors
    /// When the folder is another user's, or its file system has no such lists.
    pub fn set_rights(&self, rights: &Rights) -> anyhow::Result<()> {
        let context = || format!("cannot change the rights of {}", self.path().display());
        for (name, list) in [(ACCESS, &rights.access), (INHERITED, &rights.inherited)] {
            let set = match list {
                Some(list) => rustix::fs::fsetxattr(self, name, list, XattrFlags::empty()),
                None => match rustix::fs::fremovexattr(self, name) {
                    Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
                    other => other,
                },
            };
            set.with_context(context)?;
        }
        self.set_mode(rights.mode)
    }

    /// Gives this user in the file or folder of this name what its owner may do there.
    ///
    /// # Errors
    /// When it is not there, is another user's, or may not be opened by its owner.
    pub fn let_in(&self, name: impl AsRef<std::ffi::OsStr>, user: u32) -> anyhow::Result<()> {
        let name = super::component(name.as_ref())?;
        let context = || format!("cannot change who may do what in {}", self.shown(name));
        let opened = self.open_beneath(std::path::Path::new(name), OFlags::RDONLY);
        let opened = opened.with_context(context)?;
        let mode = rustix::fs::fstat(&opened).with_context(context)?.st_mode;
        let mut bytes = vec![0; 4096];
        let list = match rustix::fs::fgetxattr(&opened, ACCESS, &mut bytes) {
            Ok(length) => Some(&bytes[..length]),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => None,
            Err(error) => return Err(error).with_context(context),
        };
        let list = as_owner(list, mode, user);
        rustix::fs::fsetxattr(&opened, ACCESS, &list, XattrFlags::empty()).with_context(context)
    }

    /// Says of other users what the lists of the file or folder of this name say of these: of each pair, of the second
    /// instead of the first.
    ///
    /// # Errors
    /// When it is not there, is another user's, or may not be opened by its owner.
    pub fn rename_users(
        &self,
        name: impl AsRef<std::ffi::OsStr>,
        renamed: &[(u32, u32)],
    ) -> anyhow::Result<()> {
        let name = super::component(name.as_ref())?;
        let context = || format!("cannot change who may do what in {}", self.shown(name));
        let opened = self.open_beneath(std::path::Path::new(name), OFlags::RDONLY);
        let opened = opened.with_context(context)?;
        for kind in [ACCESS, INHERITED] {
            let mut bytes = vec![0; 4096];
            let list = match rustix::fs::fgetxattr(&opened, kind, &mut bytes) {
                Ok(length) => &bytes[..length],
                Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
                Err(error) => return Err(error).with_context(context),
            };
            let changed = of_others(list, renamed);
            if changed != list {
                rustix::fs::fsetxattr(&opened, kind, &changed, XattrFlags::empty())
                    .with_context(context)?;
            }
        }
        Ok(())
    }

    /// Whether such lists work in this folder, tried on a file that is nowhere after it.
    ///
    /// # Errors
    /// When they do not.
    pub fn try_access(&self, user: u32) -> anyhow::Result<()> {
        let context = || {
            format!(
                "the file system of {} has no access control lists: mount it with them",
                self.path().display()
            )
        };
        let file = self.nameless_file().with_context(context)?;
        let list = encode(&[(user, Access::Read)]);
        rustix::fs::fsetxattr(&file, ACCESS, &list, XattrFlags::empty()).with_context(context)
    }

    /// A file without a name; where the file system cannot make one (overlayfs before Linux 6.3), one that
    /// loses its name at once.
    fn nameless_file(&self) -> Result<OwnedFd, Errno> {
        const NAME: &str = ".kolga-access-check";
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::openat(self, c".", flags | OFlags::TMPFILE, mode) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {}
            other => return other,
        }
        rustix::fs::unlinkat(self, NAME, AtFlags::empty()).ok();
        let named = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(self, NAME, named, mode)?;
        rustix::fs::unlinkat(self, NAME, AtFlags::empty())?;
        Ok(file)
    }

    /// Lets these users, by number, into this folder, beside its owner, who may all; group and others
    /// get nothing. With `inherited`, what is made in it later gets the same.
    ///
    /// # Errors
    /// When the folder is another user's, or its file system has no such lists.
    pub fn set_access(&self, users: &[(u32, Access)], inherited: bool) -> anyhow::Result<()> {
        let list = encode(users);
        let names: &[&str] = if inherited {
            &[ACCESS, INHERITED]
        } else {
            &[ACCESS]
        };
        for name in names {
            rustix::fs::fsetxattr(self, *name, &list, XattrFlags::empty()).with_context(|| {
                format!(
                    "cannot set an access control list on {}: its file system must be mounted with them",
                    self.path().display()
                )
            })?;
        }
        Ok(())
    }
}

/// Gives what was opened as `target` the lists that `source` has, and none where that has none. The mode is set after it.
pub(super) fn copy_lists(source: &OwnedFd, target: &OwnedFd, is_folder: bool) -> Result<(), Errno> {
    let names: &[&str] = match is_folder {
        true => &[ACCESS, INHERITED],
        false => &[ACCESS],
    };
    for name in names {
        let mut bytes = vec![0; 4096];
        match rustix::fs::fgetxattr(source, *name, &mut bytes) {
            Ok(length) => {
                rustix::fs::fsetxattr(target, *name, &bytes[..length], XattrFlags::empty())?;
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {
                match rustix::fs::fremovexattr(target, *name) {
                    Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A list, or where there is none a mode, in which this user may do what the owner may.
fn as_owner(list: Option<&[u8]>, mode: u32, user: u32) -> Vec<u8> {
    let bits = |shift: u32| u16::try_from((mode >> shift) & 0o7).unwrap_or_default();
    let mut entries = BTreeMap::from([
        ((USER_OBJ, NO_ID), bits(6)),
        ((GROUP_OBJ, NO_ID), bits(3)),
        ((OTHER, NO_ID), bits(0)),
    ]);
    entries.extend(decode(list.unwrap_or_default()));
    let owner = entries[&(USER_OBJ, NO_ID)];
    let mask = entries.get(&(MASK, NO_ID));
    let mask = mask.unwrap_or(&entries[&(GROUP_OBJ, NO_ID)]) | owner;
    entries.insert((USER, user), owner);
    entries.insert((MASK, NO_ID), mask);
    joined(entries)
}

/// A list in which each first user of a pair is the second. Who is named twice then may do what either could.
fn of_others(list: &[u8], renamed: &[(u32, u32)]) -> Vec<u8> {
    let mut entries: BTreeMap<(u16, u32), u16> = BTreeMap::new();
    for ((tag, id), bits) in decode(list) {
        let others = renamed
            .iter()
            .filter(|(from, _)| tag == USER && *from == id);
        let mut others: Vec<u32> = others.map(|(_, to)| *to).collect();
        if others.is_empty() {
            others.push(id);
        }
        for other in others {
            *entries.entry((tag, other)).or_default() |= bits;
        }
    }
    joined(entries)
}

/// By tag and number, which is the order that the kernel wants.
fn decode(list: &[u8]) -> impl Iterator<Item = ((u16, u32), u16)> {
    let entries = list.get(4..).unwrap_or_default().chunks_exact(8);
    entries.map(|entry| {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        ((tag, id), u16::from_le_bytes([entry[2], entry[3]]))
    })
}

fn joined(entries: BTreeMap<(u16, u32), u16>) -> Vec<u8> {
    let mut list = VERSION.to_le_bytes().to_vec();
    for ((tag, id), bits) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(bits.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

fn encode(users: &[(u32, Access)]) -> Vec<u8> {
    let all = users
        .iter()
        .fold(0, |mask, (_, access)| mask | access.bits());
    encode_within(users, 0o7, all, 0)
}

fn encode_within(users: &[(u32, Access)], owner: u16, mask: u16, other: u16) -> Vec<u8> {
    // The kernel wants users in the order of their numbers, each once: who is named twice may do the more of it.
    let mut users = users.to_vec();
    users.sort_by_key(|(id, access)| (*id, std::cmp::Reverse(access.bits())));
    users.dedup_by_key(|(id, _)| *id);
    let mut list = VERSION.to_le_bytes().to_vec();
    let mut add = |tag: u16, bits: u16, id: u32| {
        list.extend(tag.to_le_bytes());
        list.extend(bits.to_le_bytes());
        list.extend(id.to_le_bytes());
    };
    add(USER_OBJ, owner, NO_ID);
    for (id, access) in users {
        add(USER, access.bits(), id);
    }
    add(GROUP_OBJ, 0, NO_ID);
    add(MASK, mask, NO_ID);
    add(OTHER, other, NO_ID);
    list
}
