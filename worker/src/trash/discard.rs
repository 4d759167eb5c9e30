//! What a recipe adds to its plan to be rid of a site, or of parts of one: into the trash, or, where the
//! operator keeps none, destroyed past the point of no return.

use crate::cx::Cx;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::steps::close_pool::ClosePool;
use crate::steps::drop_database::DropDatabase;
use crate::steps::drop_database_user::DropDatabaseUser;
use crate::steps::empty_trash::EmptyTrash;
use crate::steps::file_trash::FileTrash;
use crate::steps::lock_database_user::LockDatabaseUser;

/// What is needed no more.
pub struct Discarded {
    /// The site as it was. The database that it names goes with it.
    pub entry: SiteEntry,
    /// Whether an earlier step has moved its folder to the trash.
    pub folder: bool,
    /// Whether its secrets still lie where a site's secrets do. Where not, an earlier step has moved them to
    /// the trash.
    pub secrets: bool,
    /// The type of the task.
    pub why: &'static str,
}

/// Adds the final steps.
#[must_use]
pub fn discard(plan: Plan, cx: &Cx, discarded: Discarded) -> Plan {
    let entry = &discarded.entry;
    let pool = entry.pool.clone().filter(|_| discarded.folder);
    let pool = pool.map(|pool| ClosePool {
        pool,
        host: entry.host.clone(),
        owner: entry.owner.clone(),
    });
    let plan = discard_parts(plan, cx, discarded);
    match pool {
        Some(last) => plan.finally(last),
        None => plan,
    }
}

fn discard_parts(plan: Plan, cx: &Cx, discarded: Discarded) -> Plan {
    let (database, engine) = (discarded.entry.database.clone(), discarded.entry.engine);
    if cx.spoke.config.trash.keep_days > 0 {
        let plan = match database {
            Some(name) => plan.finally(LockDatabaseUser {
                name,
                owner: discarded.entry.owner.clone(),
                engine,
            }),
            None => plan,
        };
        return plan.finally(FileTrash(discarded));
    }
    let plan = match database {
        Some(name) => plan
            .finally(DropDatabase {
                name: name.clone(),
                owner: discarded.entry.owner.clone(),
                engine,
            })
            .finally(DropDatabaseUser {
                name,
                owner: discarded.entry.owner,
                engine,
            }),
        None => plan,
    };
    plan.finally(EmptyTrash)
}
