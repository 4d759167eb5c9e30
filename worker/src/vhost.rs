//! What nginx is told of a site: the profile's own `server` block or a page in its place, and behind it those whose
//! names only lead to it, over HTTP, HTTPS or both.
//!
//! Made of a [`Site`] for the steps that put it on the web.

use kolga_protocol::names::SiteAlias;
use kolga_protocol::naming::Https;

use crate::face::Face;
use crate::layout;
use crate::profile::template::{self, Cover, Listen, PlainPath, Redirect, Vhost};
use crate::services::nginx::{Door, snippet};
use crate::services::php::Php;
use crate::site::Site;
use crate::spoke::Spoke;

/// The first line of a vhost that the run `owner` wrote.
#[must_use]
pub fn mark(owner: &str) -> String {
    format!("{MARK}{owner}. Changes are lost.\n")
}

/// How the first line of every vhost of ours begins.
pub const MARK: &str = "# Written by Kolga in task ";

/// Where a `server` listens, and with what certificate where that is for TLS.
#[derive(Clone, Default)]
struct Entrance {
    listen: Vec<Listen>,
    tls: String,
}

impl Entrance {
    fn plain(spoke: &Spoke) -> Self {
        let nginx = &spoke.config.nginx;
        Self {
            listen: Listen::on(&nginx.listen, nginx.port),
            tls: String::new(),
        }
    }

    fn tls(site: &Site, spoke: &Spoke) -> anyhow::Result<Self> {
        let tls = spoke.need_tls()?;
        let (certificate, key) = tls.paths(&site.host);
        let (certificate, key) = (PlainPath::new(&certificate)?, PlainPath::new(&key)?);
        let config = tls.config();
        Ok(Self {
            listen: Listen::tls_on(&config.listen, config.port),
            // A path with a variable in it, here one that is empty, is read at each handshake and not when nginx
            // reads its configuration: a certificate that is gone keeps nobody else's site from being loaded, and a new
            // one needs no reload.
            tls: format!(
                "\n    ssl_certificate {certificate}$is_args;\n    ssl_certificate_key {key}$is_args;"
            ),
        })
    }

    fn and(mut self, other: Self) -> Self {
        self.listen.extend(other.listen);
        self.tls.push_str(&other.tls);
        self
    }
}

impl Site {
    /// The text that makes nginx show this face of it, below a line that says which run wrote it.
    ///
    /// # Errors
    /// When the template is not right.
    pub fn vhost_text(&self, spoke: &Spoke, owner: &str, face: Face) -> anyhow::Result<String> {
        let text = match face.template() {
            Some(template) => self.covered_text(spoke, face, template)?,
            None => self.open_text(spoke)?,
        };
        Ok(format!("{}{text}", mark(owner)))
    }

    /// The ways on which it is to answer itself.
    #[must_use]
    pub fn doors(&self, spoke: &Spoke) -> Vec<Door> {
        let tls = spoke.tls.as_ref();
        let tls = tls.map(|tls| Door::Https(tls.config().check_address));
        match self.https {
            Https::Off => vec![Door::Http],
            Https::On => [Door::Http].into_iter().chain(tls).collect(),
            Https::Redirect => tls.into_iter().collect(),
        }
    }

    /// The ways on which a page in its place is shown.
    #[must_use]
    pub fn covered_doors(&self, spoke: &Spoke) -> Vec<Door> {
        let mut doors = self.doors(spoke);
        if !doors.contains(&Door::Http) {
            doors.push(Door::Http);
        }
        doors
    }

    /// What only leads to it, on which way, and where to.
    ///
    /// # Errors
    /// When the spoke has no HTTPS and the site has.
    pub fn leading(&self, spoke: &Spoke) -> anyhow::Result<Vec<(Door, Vec<SiteAlias>, String)>> {
        let leading = self.names.leading(&self.host);
        let plain = |names: Vec<SiteAlias>| (Door::Http, names, self.url.clone());
        let mut all = match self.https {
            Https::Off | Https::On => vec![plain(leading.clone())],
            Https::Redirect => vec![plain(self.names.all(&self.host).into_iter().collect())],
        };
        if self.https != Https::Off {
            let tls = spoke.need_tls()?.config();
            let to = layout::https_url(tls, self.main());
            all.push((Door::Https(tls.check_address), leading, to));
        }
        all.retain(|(_, names, _)| !names.is_empty());
        Ok(all)
    }

    /// A page of ours, or the operator's, instead of the site.
    fn covered_text(&self, spoke: &Spoke, face: Face, template: &str) -> anyhow::Result<String> {
        let page = face.page(&spoke.config.pages);
        let mut aliases = self.names.aliases.clone();
        aliases.extend(self.names.leading(&self.host));
        let mut entrance = Entrance::plain(spoke);
        if self.https != Https::Off {
            entrance = entrance.and(Entrance::tls(self, spoke)?);
        }
        let values = Cover {
            host: self.main().clone(),
            aliases,
            listen: entrance.listen,
            tls: entrance.tls,
            page: page.map(PlainPath::new).transpose()?,
        };
        template::cover(face.name(), template, &values)
    }

    /// The site itself, and what leads to it.
    fn open_text(&self, spoke: &Spoke) -> anyhow::Result<String> {
        let plain = Entrance::plain(spoke);
        let tls = match self.https {
            Https::Off => Entrance::default(),
            Https::On | Https::Redirect => Entrance::tls(self, spoke)?,
        };
        let mut text = match self.https {
            Https::Off | Https::On => self.site_text(spoke, plain.clone().and(tls.clone()))?,
            Https::Redirect => self.site_text(spoke, tls.clone())?,
        };
        for (door, names, to) in self.leading(spoke)? {
            let entrance = match door {
                Door::Http => plain.clone(),
                Door::Https(_) => tls.clone(),
            };
            text.push_str(&template::redirect(&Redirect {
                listen: entrance.listen,
                tls: entrance.tls,
                names,
                to,
            })?);
        }
        Ok(text)
    }

    fn site_text(&self, spoke: &Spoke, entrance: Entrance) -> anyhow::Result<String> {
        let place = &self.profile.manifest.vhost.template;
        let php = self.php(spoke)?;
        let fpm_socket = php.as_ref().map(Php::fpm_socket);
        let values = Vhost {
            host: self.main().clone(),
            aliases: self.names.aliases.clone(),
            listen: entrance.listen,
            tls: entrance.tls.clone(),
            site: PlainPath::new(&self.folder)?,
            platform: self.code().map(PlainPath::new).transpose()?,
            settings: self
                .settings_path()
                .as_deref()
                .map(PlainPath::new)
                .transpose()?,
            fpm_socket: fpm_socket.map(PlainPath::new).transpose()?,
            snippet: snippet::of(&spoke.config, &self.host)?,
        };
        let text = template::vhost(place.as_str(), self.profile.text(place)?, &values)?;
        anyhow::ensure!(
            text.contains(&entrance.tls),
            "{place} of profile {} says nothing of a certificate: put {{{{- tls }}}} behind its listen lines",
            self.profile.manifest.name
        );
        Ok(text)
    }
}
