-- Gives a site's database, and all that is in it, back to the role of its name: after a role was dropped, or a database came
-- back from a dump, what is in there belongs to whoever did that. For an administrator of the server, who calls it in the
-- database itself; then `kolga site verify` sees to the role's password and rights:
--
--   sudo -u postgres psql -d k_… -v account=kolga -f deploy/postgresql-own.sql
--
-- Only owners change, and nothing of what is in there is run.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET search_path = pg_catalog;
DO $$
BEGIN
    IF current_database() !~ '^k_[a-z0-9_]{1,30}$' THEN
        RAISE EXCEPTION '% is no database of a site of Kolga', current_database();
    END IF;
END
$$;
SELECT current_database() AS base, :'account' || '_sites' AS sites \gset

BEGIN;
SELECT format('CREATE ROLE %I NOLOGIN', :'base')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'base') \gexec
GRANT :"base" TO :"account";
GRANT :"sites" TO :"base";
SELECT format('COMMENT ON ROLE %I IS %L', :'base', shobj_description(oid, 'pg_database'))
  FROM pg_database WHERE datname = :'base' \gexec
ALTER DATABASE :"base" OWNER TO :"base";
-- The same things that worker/src/services/postgresql/inside.rs counts.
SELECT format('ALTER %s %s OWNER TO %I',
              CASE named.type WHEN 'statistics object' THEN 'STATISTICS' ELSE named.type END, named.identity, :'base')
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
        UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata) AS found,
       pg_identify_object(found.sort, found.oid, 0) AS named
 WHERE (found.oid >= 16384 OR found.sort = 'pg_largeobject'::regclass) AND pg_get_userbyid(found.owner) <> :'base'
   AND NOT EXISTS (SELECT FROM pg_depend part
                    WHERE part.classid = found.sort AND part.objid = found.oid AND part.deptype IN ('e', 'i')) \gexec
COMMIT;
