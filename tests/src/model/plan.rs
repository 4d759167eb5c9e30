//! What the model's tasks are: real parameters, whose claims meet, and outputs that the hub can read.

use kolga_protocol::message::Failure;
use kolga_protocol::task::{
    Output, Params, Payload, platform_build, server_verify, site_delete, site_install,
};
use kolga_worker::journal::{Place, StepRow};

const SITES: [&str; 3] = ["a.test", "b.test", "c.test"];
const PLATFORMS: [&str; 2] = ["p", "q"];

/// How long a task is. Which steps the real recipes have does not matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Steps that can be undone.
    pub steps: u16,
    /// Steps past the point of no return.
    pub finals: u16,
}

impl Plan {
    /// A step's place.
    #[must_use]
    pub fn place(self, position: u16) -> Place {
        Place {
            position,
            total: self.steps + self.finals,
            name: format!("step_{position}"),
        }
    }

    /// A step with its record.
    #[must_use]
    pub fn row(self, position: u16) -> StepRow {
        StepRow {
            place: self.place(position),
            record: serde_json::json!({ "at": position }),
        }
    }

    /// The steps past the point of no return.
    #[must_use]
    pub fn final_rows(self) -> Vec<StepRow> {
        (1..=self.finals)
            .map(|number| self.row(self.steps + number))
            .collect()
    }
}

/// Parameters chosen by number: some share objects, some want one for themselves.
#[must_use]
pub fn params(kind: u8, object: u8) -> Params {
    let site = SITES[usize::from(object) % SITES.len()];
    let platform = PLATFORMS[usize::from(object) % PLATFORMS.len()];
    let install = |platform: Option<&str>| {
        Params::SiteInstall(site_install::Params {
            site: site.parse().expect("a host name"),
            aliases: Vec::new(),
            profile: "static".parse().expect("a profile's name"),
            platform: platform.map(|name| name.parse().expect("a platform's name")),
            options: Default::default(),
        })
    };
    match kind % 5 {
        0 => Params::ServerVerify(server_verify::Params {}),
        1 => Params::PlatformBuild(platform_build::Params {
            platform: platform.parse().expect("a platform's name"),
            profile: "static".parse().expect("a profile's name"),
            source: "/srv/code".parse().expect("a path"),
            composer: false,
        }),
        2 => install(None),
        3 => install(Some(platform)),
        _ => Params::SiteDelete(site_delete::Params {
            site: site.parse().expect("a host name"),
            no_backup: true,
        }),
    }
}

/// A result that goes with these parameters.
#[must_use]
pub fn output(params: &Params) -> Payload {
    match params {
        Params::PlatformBuild(_) => Output::PlatformBuild(platform_build::Output {
            path: "/srv/p".to_owned(),
            version: None,
            files: 1,
            bytes: 1,
            packages: None,
        }),
        Params::SiteInstall(_) => Output::SiteInstall(site_install::Output {
            url: "http://a.test/".to_owned(),
            path: "/srv/a.test".to_owned(),
            database: None,
            admin_user: None,
            secret_file: None,
        }),
        Params::SiteDelete(_) => Output::SiteDelete(site_delete::Output {
            path: "/srv/a.test".to_owned(),
            database: None,
            backup: None,
        }),
        _ => Output::ServerVerify(server_verify::Output { checks: Vec::new() }),
    }
    .to_payload()
}

/// Why something failed.
#[must_use]
pub fn failure(step: &Place, message: &str) -> Failure {
    Failure {
        step: Some(step.name.clone()),
        ..Failure::plain(message)
    }
}
