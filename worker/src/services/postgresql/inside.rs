//! Whose the things in a database are. A role that was dropped, and made anew, owns nothing of what is in its database, and the
//! worker's account may not change that: an administrator does, with deploy/postgresql-own.sql, which looks at the same things.

use kolga_protocol::names::DatabaseName;
use sqlx::Connection as _;

use super::{Postgresql, code_of, connect_as};

/// `insufficient_privilege` and `invalid_authorization_specification`: it may not CONNECT, or no line of pg_hba.conf lets it.
const NOT_FOR_US: [&str; 2] = ["42501", "28000"];

/// Things of all sorts that have an owner and are a part of nothing else, but for those that came with the server.
const OF_OTHERS: &str = "
    SELECT count(*)
      FROM (SELECT 'pg_namespace'::regclass AS sort, oid, nspowner AS owner FROM pg_namespace WHERE nspname !~ '^pg_'
            UNION ALL
            SELECT 'pg_class'::regclass, oid, relowner FROM pg_class
             WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'
               AND NOT (relkind = 'S' AND EXISTS (
                   SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('a', 'i')))
            UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
            UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type WHERE typtype IN ('b', 'c', 'd', 'e', 'r')
            UNION ALL SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator
            UNION ALL SELECT 'pg_opclass'::regclass, oid, opcowner FROM pg_opclass
            UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfowner FROM pg_opfamily
            UNION ALL SELECT 'pg_collation'::regclass, oid, collowner FROM pg_collation
            UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgowner FROM pg_ts_config
            UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictowner FROM pg_ts_dict
            UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxowner FROM pg_statistic_ext
            UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata) AS found
     WHERE (found.oid >= 16384 OR found.sort = 'pg_largeobject'::regclass) AND pg_get_userbyid(found.owner) <> $1
       AND NOT EXISTS (SELECT FROM pg_depend part
                        WHERE part.classid = found.sort AND part.objid = found.oid AND part.deptype IN ('e', 'i'))";

impl Postgresql {
    /// How many things in the database of this name belong to another than the role of its name; `None` when the worker's
    /// account may not look.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn of_others(&self, name: &DatabaseName) -> anyhow::Result<Option<i64>> {
        let options = self.options()?.database(name.as_str());
        let mut inside = match connect_as(&options).await {
            Ok(connection) => connection,
            Err(error) if code_of(&error).is_some_and(|code| NOT_FOR_US.contains(&&*code)) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let count = sqlx::query_scalar(OF_OTHERS)
            .bind(name.as_str())
            .fetch_one(&mut inside)
            .await?;
        inside.close().await?;
        Ok(Some(count))
    }
}
