-- Lets a worker have databases for its sites in this PostgreSQL: the worker's account, and functions that make and drop the
-- sites' roles. For an administrator of the server, and again after each update of Kolga:
--
--   sudo -u postgres psql -d postgres -v account=kolga -f deploy/postgresql.sql
--
-- The account may make databases and no roles: up to PostgreSQL 15 whoever may make roles can become any of them but a
-- superuser. What is here runs with the administrator's rights and so looks at everything first: a name is one of a site's,
-- a password comes hashed, and a role is only touched when it was made here for the very account that asks.
--
-- They lie in a database of their own, kolga_roles, into which no site's role gets. Every site's role is in the group
-- <account>_sites, for lines of pg_hba.conf that are about all of them.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

SELECT format('CREATE ROLE %I', :'account')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'account') \gexec
SELECT format('CREATE ROLE %I', :'account' || '_sites')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'account' || '_sites') \gexec

SELECT 'CREATE DATABASE kolga_roles TEMPLATE template0'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'kolga_roles') \gexec
REVOKE ALL ON DATABASE kolga_roles FROM PUBLIC;
GRANT CONNECT ON DATABASE kolga_roles TO :"account";
\connect kolga_roles
SET client_min_messages = warning;

BEGIN;
ALTER ROLE :"account" LOGIN NOSUPERUSER CREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
CREATE SCHEMA IF NOT EXISTS kolga;
ALTER SCHEMA kolga OWNER TO CURRENT_USER;
REVOKE ALL ON SCHEMA kolga FROM PUBLIC;
GRANT USAGE ON SCHEMA kolga TO :"account";

-- The role of this name, when it is a site's and was made for whoever asks; null for any other.
CREATE OR REPLACE FUNCTION kolga.own_role(name text) RETURNS oid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT made.oid
      FROM pg_roles made
      JOIN pg_auth_members member ON member.roleid = made.oid
      JOIN pg_roles account ON account.oid = member.member
     WHERE made.rolname = name AND name ~ '^k_[a-z0-9_]{1,30}$' AND account.rolname = session_user
     LIMIT 1
$$;

-- A site's role, that logs in with the password of this SCRAM verifier, with the mark of the run that made it.
CREATE OR REPLACE FUNCTION kolga.make_role(name text, verifier text, mark text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name !~ '^k_[a-z0-9_]{1,30}$' THEN
        RAISE EXCEPTION '% is no name of a role of a site''s', quote_literal(name);
    END IF;
    IF verifier !~ '^SCRAM-SHA-256\$[0-9]{4,6}:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*:[A-Za-z0-9+/]+=*$' THEN
        RAISE EXCEPTION 'the password of % is not hashed', name;
    END IF;
    EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD %L',
                   name, verifier);
    EXECUTE format('COMMENT ON ROLE %I IS %L', name, mark);
    EXECUTE format('GRANT %I TO %I', name, session_user);
    EXECUTE format('GRANT %I TO %I', session_user || '_sites', name);
END
$$;

-- Whether a site's role may log in. Says whether there is one of that name.
CREATE OR REPLACE FUNCTION kolga.let_in(name text, may boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF kolga.own_role(name) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER ROLE %I %s', name, CASE WHEN may THEN 'LOGIN' ELSE 'NOLOGIN' END);
    RETURN true;
END
$$;

-- Drops a site's role, where it has this mark, or where none is asked for. Says whether it did. What such a role
-- has left in this database goes with it, or it could not.
CREATE OR REPLACE FUNCTION kolga.drop_role(name text, mark text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made oid := kolga.own_role(name);
BEGIN
    IF made IS NULL OR mark <> coalesce(shobj_description(made, 'pg_authid'), '') THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP OWNED BY %I', name);
    EXECUTE format('DROP ROLE %I', name);
    RETURN true;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kolga FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kolga TO :"account";
COMMIT;
