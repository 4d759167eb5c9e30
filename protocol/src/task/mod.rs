//! The list of task types. A type is one file here (parameters, result, claims) and one line in
//! `tasks!`; the worker's list of recipes then fails to compile until it has the type too.
//!
//! A type's kind is for ever: journals, queues and databases hold it. A change of its fields that
//! old bytes cannot express takes a new version number; [`Task::older`] reads what was written before.

pub mod backup_delete;
pub mod backup_extract;
pub mod backup_list;
pub mod backup_prune;
pub mod backup_verify;
pub mod ping;
pub mod platform_build;
pub mod platform_delete;
pub mod platform_verify;
pub mod recipe_list;
pub mod recipe_run;
pub mod server_inventory;
pub mod server_print;
pub mod server_verify;
pub mod site_backup;
pub mod site_clone;
pub mod site_delete;
pub mod site_disable;
pub mod site_enable;
pub mod site_hold;
pub mod site_https;
pub mod site_import;
pub mod site_install;
pub mod site_login;
pub mod site_migrate;
pub mod site_names;
pub mod site_pool;
pub mod site_receive;
pub mod site_release;
pub mod site_restore;
pub mod site_run;
pub mod site_verify;
pub mod trash_empty;
pub mod trash_list;
pub mod trash_restore;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::envelope::{self, BodyError};
use crate::object::{Claim, Lane};

/// What an older version's bytes are; nothing where this build does not read that version.
pub type Older<T> = Option<Result<T, BodyError>>;

/// What every task type says about itself.
pub trait Task: Serialize + DeserializeOwned + Clone {
    /// The version of the shape of its parameters and its result.
    const VERSION: u16;
    /// Which lane it runs in.
    const LANE: Lane;
    /// Whether the hub may make a new attempt by itself after an interruption.
    const REPEATABLE: bool;
    /// Whether it takes up room on the server's disk: only such tasks wait for free disk.
    const GROWS: bool;
    /// What it gives back.
    type Output: Serialize + DeserializeOwned + Clone;

    /// What it needs, each object once.
    fn claims(&self) -> Vec<Claim>;

    /// Which lane these parameters make it run in, where that is not the same for all of its type.
    #[must_use]
    fn lane(&self) -> Lane {
        Self::LANE
    }

    /// Whether it takes up room with these parameters.
    #[must_use]
    fn grows(&self) -> bool {
        Self::GROWS
    }

    /// Parameters as an older version wrote them, where this build still reads that one: journals, queues and databases
    /// may hold them.
    #[must_use]
    fn older(_version: u16, _body: &[u8]) -> Older<Self> {
        None
    }

    /// The same for a result.
    #[must_use]
    fn older_output(_version: u16, _body: &[u8]) -> Older<Self::Output> {
        None
    }
}

/// Parameters or a result on the wire and in the journal: bytes whose type the kind and version tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// [`Kind::as_str`].
    pub kind: String,
    /// [`Task::VERSION`].
    pub version: u16,
    /// The parameters or the result, encoded by [`envelope`].
    pub body: Vec<u8>,
}

/// Why a payload is not a task of this build.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// No such task type here.
    #[error("task kind {0:?} is not known here")]
    UnknownKind(String),
    /// The type is known, this version of it is not.
    #[error("version {version} of task kind {kind:?} is not known here")]
    UnknownVersion {
        /// The kind.
        kind: String,
        /// The unknown version.
        version: u16,
    },
    /// The bytes are not this type.
    #[error("the parameters of a {kind} task cannot be read")]
    Body {
        /// The kind.
        kind: &'static str,
        /// What is wrong with the bytes.
        #[source]
        source: BodyError,
    },
    /// The JSON is not this type.
    #[error("the parameters of a {kind} task are not right")]
    Json {
        /// The kind.
        kind: &'static str,
        /// Which field, and why.
        #[source]
        source: serde_json::Error,
    },
}

/// From one line a task type, makes the enums over all of them: [`Kind`], [`Params`], [`Output`].
/// `Ping = ping, "ping";` reads: variant, the file that describes it, its name for ever.
macro_rules! tasks {
    ($($variant:ident = $module:ident, $kind:literal;)+) => {
        /// Every task type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $kind, "`: see [`", stringify!($module), "`].")] $variant,)+
        }

        impl Kind {
            /// All of them, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name for ever, `object.verb`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $kind,)+ }
            }

            /// The version of its parameters and result that this build writes and reads.
            #[must_use]
            pub fn version(self) -> u16 {
                match self { $(Self::$variant => <$module::Params as Task>::VERSION,)+ }
            }

            /// Which lane it runs in.
            #[must_use]
            pub fn lane(self) -> Lane {
                match self { $(Self::$variant => <$module::Params as Task>::LANE,)+ }
            }

            /// Whether it takes up room on the server's disk.
            #[must_use]
            pub fn grows(self) -> bool {
                match self { $(Self::$variant => <$module::Params as Task>::GROWS,)+ }
            }

            /// Whether an interrupted attempt may be followed by a new one without a person.
            #[must_use]
            pub fn is_repeatable(self) -> bool {
                match self { $(Self::$variant => <$module::Params as Task>::REPEATABLE,)+ }
            }
        }

        /// The parameters of a task of any type. As JSON `{"kind": …, "params": …}`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "params")]
        pub enum Params {
            $(
                #[doc = concat!("`", $kind, "`")]
                #[serde(rename = $kind)]
                $variant($module::Params),
            )+
        }

        impl Params {
            /// Which type these are for.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant,)+ }
            }

            /// The objects that the task needs.
            #[must_use]
            pub fn claims(&self) -> Vec<Claim> {
                match self { $(Self::$variant(params) => params.claims(),)+ }
            }

            /// Which lane the task runs in.
            #[must_use]
            pub fn lane(&self) -> Lane {
                match self { $(Self::$variant(params) => params.lane(),)+ }
            }

            /// Whether the task takes up room on the server's disk.
            #[must_use]
            pub fn grows(&self) -> bool {
                match self { $(Self::$variant(params) => params.grows(),)+ }
            }

            /// As it crosses the wire.
            #[must_use]
            pub fn to_payload(&self) -> Payload {
                let body = match self { $(Self::$variant(params) => envelope::encode_body(params),)+ };
                Payload::new(self.kind(), body)
            }

            /// From the wire, checked.
            ///
            /// # Errors
            /// [`PayloadError`] when the type, the version or the bytes are not known here.
            pub fn from_payload(payload: &Payload) -> Result<Self, PayloadError> {
                let kind: Kind = payload.kind.parse()?;
                match kind {
                    $(Kind::$variant => payload
                        .read(kind, <$module::Params as Task>::older)
                        .map(Self::$variant),)+
                }
            }

            /// The parameters alone, as JSON.
            ///
            /// # Errors
            /// None that parameters of today's types can cause; kept so that nobody has to unwrap.
            pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(Self::$variant(params) => serde_json::to_value(params),)+ }
            }

            /// From the kind's name and the parameters as JSON, checked.
            ///
            /// # Errors
            /// [`PayloadError`] when the kind is not known or a field is wrong.
            pub fn from_json(kind: &str, params: serde_json::Value) -> Result<Self, PayloadError> {
                let known: Kind = kind.parse()?;
                match known {
                    $(Kind::$variant => serde_json::from_value(params).map(Self::$variant),)+
                }
                .map_err(|source| PayloadError::Json { kind: known.as_str(), source })
            }
        }

        /// The result of a task of any type. As JSON `{"kind": …, "output": …}`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "output")]
        pub enum Output {
            $(
                #[doc = concat!("`", $kind, "`")]
                #[serde(rename = $kind)]
                $variant($module::Output),
            )+
        }

        impl Output {
            /// Which type of task gave it.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant,)+ }
            }

            /// As it crosses the wire.
            #[must_use]
            pub fn to_payload(&self) -> Payload {
                let body = match self { $(Self::$variant(output) => envelope::encode_body(output),)+ };
                Payload::new(self.kind(), body)
            }

            /// From the wire, checked.
            ///
            /// # Errors
            /// [`PayloadError`] when the type, the version or the bytes are not known here.
            pub fn from_payload(payload: &Payload) -> Result<Self, PayloadError> {
                let kind: Kind = payload.kind.parse()?;
                match kind {
                    $(Kind::$variant => payload
                        .read(kind, <$module::Params as Task>::older_output)
                        .map(Self::$variant),)+
                }
            }
        }
    };
}

tasks! {
    Ping = ping, "ping";
    ServerVerify = server_verify, "server.verify";
    PlatformBuild = platform_build, "platform.build";
    SiteInstall = site_install, "site.install";
    SiteDelete = site_delete, "site.delete";
    ServerPrint = server_print, "server.print";
    ServerInventory = server_inventory, "server.inventory";
    SiteEnable = site_enable, "site.enable";
    SiteDisable = site_disable, "site.disable";
    PlatformDelete = platform_delete, "platform.delete";
    PlatformVerify = platform_verify, "platform.verify";
    TrashList = trash_list, "trash.list";
    TrashRestore = trash_restore, "trash.restore";
    TrashEmpty = trash_empty, "trash.empty";
    SiteVerify = site_verify, "site.verify";
    SiteRun = site_run, "site.run";
    SiteBackup = site_backup, "site.backup";
    BackupList = backup_list, "backup.list";
    SiteNames = site_names, "site.names";
    SiteHttps = site_https, "site.https";
    SiteMigrate = site_migrate, "site.migrate";
    RecipeRun = recipe_run, "recipe.run";
    RecipeList = recipe_list, "recipe.list";
    SiteRestore = site_restore, "site.restore";
    SiteImport = site_import, "site.import";
    SiteClone = site_clone, "site.clone";
    SiteLogin = site_login, "site.login";
    BackupVerify = backup_verify, "backup.verify";
    BackupDelete = backup_delete, "backup.delete";
    BackupPrune = backup_prune, "backup.prune";
    BackupExtract = backup_extract, "backup.extract";
    SitePool = site_pool, "site.pool";
    SiteHold = site_hold, "site.hold";
    SiteReceive = site_receive, "site.receive";
    SiteRelease = site_release, "site.release";
}

impl Payload {
    fn new(kind: Kind, body: Vec<u8>) -> Self {
        Self {
            kind: kind.as_str().to_owned(),
            version: kind.version(),
            body,
        }
    }

    /// The body, of this build's version of the kind or of one that it still reads.
    fn read<T: DeserializeOwned>(
        &self,
        kind: Kind,
        older: fn(u16, &[u8]) -> Older<T>,
    ) -> Result<T, PayloadError> {
        let read = match self.version == kind.version() {
            true => Some(envelope::decode_body(&self.body)),
            false => older(self.version, &self.body),
        };
        let read = read.ok_or_else(|| PayloadError::UnknownVersion {
            kind: self.kind.clone(),
            version: self.version,
        })?;
        read.map_err(|source| PayloadError::Body {
            kind: kind.as_str(),
            source,
        })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Kind {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<Self, PayloadError> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| PayloadError::UnknownKind(text.chars().take(64).collect()))
    }
}
