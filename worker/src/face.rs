//! What visitors of a site get to see: the site itself, or one of two pages in its place. The pages are ours
//! until an operator names others in `[pages]`.
//!
//! Recipes choose a face; [`crate::site`] makes nginx's text of it, step `swap_vhost` puts it on the web.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::Pages;

/// A face of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Face {
    /// The site itself.
    Site,
    /// A page that says that its operator has switched it off.
    Disabled,
    /// A page that asks to come back in a moment, while a task works on the site.
    Maintenance,
}

impl Face {
    /// The face of a site that is or is not enabled.
    #[must_use]
    pub fn when(enabled: bool) -> Self {
        if enabled { Self::Site } else { Self::Disabled }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Site => "the site",
            Self::Disabled => "the disabled page",
            Self::Maintenance => "the maintenance page",
        }
    }

    /// The same in one word, for names of files.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Disabled => "disabled",
            Self::Maintenance => "maintenance",
        }
    }

    /// The template of its vhost; the site's own is its profile's.
    pub(crate) fn template(self) -> Option<&'static str> {
        match self {
            Self::Site => None,
            Self::Disabled => Some(include_str!("../pages/disabled.conf")),
            Self::Maintenance => Some(include_str!("../pages/maintenance.conf")),
        }
    }

    /// The operator's own page for it.
    pub(crate) fn page(self, pages: &Pages) -> Option<&Path> {
        match self {
            Self::Site => None,
            Self::Disabled => pages.disabled.as_deref(),
            Self::Maintenance => pages.maintenance.as_deref(),
        }
    }
}
