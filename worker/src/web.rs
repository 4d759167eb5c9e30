//! Who gets at a site's files besides the worker: the web server, which reads, and whoever runs the site's PHP.

use crate::files::Access;

/// Both, by number. They are one where the operator has it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Web {
    /// The web server's user.
    pub nginx: u32,
    /// As whom the site's PHP runs.
    pub php: u32,
}

impl Web {
    /// The site's own folder: what is in it they reach by name.
    #[must_use]
    pub fn pass(self) -> Vec<(u32, Access)> {
        vec![(self.nginx, Access::Pass), (self.php, Access::Pass)]
    }

    /// A folder in which nobody but the worker writes.
    #[must_use]
    pub fn read(self) -> Vec<(u32, Access)> {
        vec![(self.nginx, Access::Read), (self.php, Access::Read)]
    }

    /// One in which PHP writes; what it puts there is the worker's (`own`) to remove.
    #[must_use]
    pub fn write(self, own: u32) -> Vec<(u32, Access)> {
        let nginx = (self.nginx, Access::Read);
        vec![nginx, (self.php, Access::Write), (own, Access::Write)]
    }
}
