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

-- For which account a role was made. It stays for as long as there is a database of that name: so an account gets the role
-- again that somebody has dropped, and no other account does.
CREATE TABLE IF NOT EXISTS kolga.made (role text PRIMARY KEY, account text NOT NULL);
INSERT INTO kolga.made
SELECT made.rolname, account.rolname
  FROM pg_roles made
  JOIN pg_auth_members member ON member.roleid = made.oid
  JOIN pg_roles account ON account.oid = member.member
 WHERE made.rolname ~ '^k_[a-z0-9_]{1,30}$' AND account.rolname = :'account'
    ON CONFLICT (role) DO NOTHING;

-- What a role and its database were before they were mended; of each role the last run that did.
CREATE TABLE IF NOT EXISTS kolga.mended (
    role text PRIMARY KEY,
    by_run text NOT NULL,
    was_there boolean NOT NULL,
    had_verifier text,
    had_login boolean,
    had_until timestamptz,
    had_group boolean,
    had_mark text,
    had_owner text NOT NULL,
    had_rights text[] NOT NULL,
    lacked text[] NOT NULL,
    public_had text[] NOT NULL
);

CREATE OR REPLACE FUNCTION kolga.refuse_odd(name text, verifier text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (name ~ '^k_[a-z0-9_]{1,30}$') IS NOT TRUE THEN
        RAISE EXCEPTION '% is no name of a role of a site''s', quote_nullable(name);
    END IF;
    IF (verifier ~ '^SCRAM-SHA-256\$[0-9]{4,6}:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*:[A-Za-z0-9+/]+=*$') IS NOT TRUE THEN
        RAISE EXCEPTION 'the password of % is not hashed', name;
    END IF;
END
$$;

-- A site's role, that logs in with the password of this SCRAM verifier, with the mark of the run that made it.
CREATE OR REPLACE FUNCTION kolga.make_role(name text, verifier text, mark text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM kolga.refuse_odd(name, verifier);
    IF EXISTS (SELECT FROM pg_database WHERE datname = name)
       AND NOT EXISTS (SELECT FROM kolga.made WHERE role = name AND account = session_user) THEN
        RAISE EXCEPTION 'there is a database % already, and not one of %', name, session_user;
    END IF;
    EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD %L',
                   name, verifier);
    EXECUTE format('COMMENT ON ROLE %I IS %L', name, mark);
    EXECUTE format('GRANT %I TO %I', name, session_user);
    EXECUTE format('GRANT %I TO %I', session_user || '_sites', name);
    INSERT INTO kolga.made VALUES (name, session_user) ON CONFLICT (role) DO UPDATE SET account = session_user;
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
    DELETE FROM kolga.mended WHERE role = name;
    DELETE FROM kolga.made WHERE role = name AND NOT EXISTS (SELECT FROM pg_database WHERE datname = name);
    RETURN true;
END
$$;

-- What somebody, or everybody (0), was given on a database.
CREATE OR REPLACE FUNCTION kolga.rights_on(base text, who oid) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(given.privilege_type ORDER BY given.privilege_type), '{}')
      FROM pg_database found, aclexplode(coalesce(found.datacl, acldefault('d', found.datdba))) given
     WHERE found.datname = base AND given.grantee = who
$$;

-- Why the role and the database of this name cannot be made again what they should be; null where they can. What belongs to
-- somebody who is no administrator is not taken, and no database that is not marked as the one that was made.
CREATE OR REPLACE FUNCTION kolga.why_not_mend(name text, mark text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    base record;
BEGIN
    SELECT owner.rolname::text AS owner, shobj_description(found.oid, 'pg_database') AS comment,
           owner.rolsuper OR owner.rolname = session_user AS may_be_taken
      INTO base
      FROM pg_database found JOIN pg_roles owner ON owner.oid = found.datdba
     WHERE found.datname = name;
    IF NOT FOUND THEN
        RETURN 'there is no such database';
    END IF;
    IF kolga.own_role(name) IS NULL THEN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            RETURN format('the role of its name was not made for %s', session_user);
        END IF;
        IF NOT EXISTS (SELECT FROM kolga.made WHERE role = name AND account = session_user) THEN
            RETURN format('no role of its name was ever made for %s', session_user);
        END IF;
    END IF;
    IF base.owner = name THEN
        RETURN null;
    END IF;
    IF base.comment IS DISTINCT FROM mark THEN
        RETURN 'its comment is not that of the one that was made';
    END IF;
    IF NOT base.may_be_taken THEN
        RETURN format('it belongs to %s, who is no administrator', base.owner);
    END IF;
    RETURN null;
END
$$;

-- Makes the role and the database of this name again what they should be, all at once, and keeps what they were: the role is
-- there, in its group, marked, and may log in; the database is its own, with all rights, and nobody else's. It gets another
-- password where one is given.
CREATE OR REPLACE FUNCTION kolga.mend(name text, verifier text, mark text, run text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    why text := kolga.why_not_mend(name, mark);
    sites text := session_user || '_sites';
    own oid;
    was kolga.mended;
BEGIN
    IF why IS NOT NULL THEN
        RAISE EXCEPTION 'the database % is not mended: %', name, why;
    END IF;
    SELECT found.rolpassword, found.rolcanlogin, found.rolvaliduntil, shobj_description(found.oid, 'pg_authid'),
           EXISTS (SELECT FROM pg_auth_members member JOIN pg_roles joined ON joined.oid = member.roleid
                    WHERE member.member = found.oid AND joined.rolname = sites)
      INTO was.had_verifier, was.had_login, was.had_until, was.had_mark, was.had_group
      FROM pg_authid found WHERE found.rolname = name;
    was.was_there := FOUND;
    was.role := name;
    was.by_run := run;
    SELECT pg_get_userbyid(datdba) INTO STRICT was.had_owner FROM pg_database WHERE datname = name;
    IF NOT was.was_there THEN
        PERFORM kolga.make_role(name, verifier, mark);
    ELSE
        IF verifier IS NOT NULL THEN
            PERFORM kolga.refuse_odd(name, verifier);
            EXECUTE format('ALTER ROLE %I PASSWORD %L', name, verifier);
        END IF;
        IF NOT was.had_login THEN
            EXECUTE format('ALTER ROLE %I LOGIN', name);
        END IF;
        IF was.had_until < now() THEN
            EXECUTE format('ALTER ROLE %I VALID UNTIL ''infinity''', name);
        END IF;
        IF was.had_mark IS NULL THEN
            EXECUTE format('COMMENT ON ROLE %I IS %L', name, mark);
        END IF;
        IF NOT was.had_group THEN
            EXECUTE format('GRANT %I TO %I', sites, name);
        END IF;
    END IF;
    own := kolga.own_role(name);
    was.had_rights := kolga.rights_on(name, own);
    IF was.had_owner <> name THEN
        EXECUTE format('ALTER DATABASE %I OWNER TO %I', name, name);
    END IF;
    was.lacked := ARRAY(SELECT unnest('{CONNECT,CREATE,TEMPORARY}'::text[])
                        EXCEPT SELECT unnest(kolga.rights_on(name, own)));
    was.public_had := kolga.rights_on(name, 0);
    EXECUTE format('GRANT ALL ON DATABASE %I TO %I', name, name);
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name);
    DELETE FROM kolga.mended WHERE role = name;
    INSERT INTO kolga.mended SELECT was.*;
END
$$;

-- Makes them again what they were before this run has mended them. Says whether it had.
CREATE OR REPLACE FUNCTION kolga.unmend(name text, run text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was kolga.mended;
    one text;
BEGIN
    IF kolga.own_role(name) IS NULL THEN
        RETURN false;
    END IF;
    DELETE FROM kolga.mended WHERE role = name AND by_run = run RETURNING * INTO was;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOREACH one IN ARRAY was.public_had LOOP
        EXECUTE format('GRANT %s ON DATABASE %I TO PUBLIC', one, name);
    END LOOP;
    FOREACH one IN ARRAY was.lacked LOOP
        EXECUTE format('REVOKE %s ON DATABASE %I FROM %I', one, name, name);
    END LOOP;
    IF was.had_owner <> name THEN
        EXECUTE format('ALTER DATABASE %I OWNER TO %I', name, was.had_owner);
        FOREACH one IN ARRAY was.had_rights LOOP
            EXECUTE format('GRANT %s ON DATABASE %I TO %I', one, name, name);
        END LOOP;
    END IF;
    IF NOT was.was_there THEN
        EXECUTE format('DROP OWNED BY %I', name);
        EXECUTE format('DROP ROLE %I', name);
        RETURN true;
    END IF;
    EXECUTE format('ALTER ROLE %I PASSWORD %L %s', name, was.had_verifier, CASE WHEN was.had_login THEN '' ELSE 'NOLOGIN' END);
    IF was.had_until IS NOT NULL THEN
        EXECUTE format('ALTER ROLE %I VALID UNTIL %L', name, was.had_until);
    END IF;
    EXECUTE format('COMMENT ON ROLE %I IS %L', name, was.had_mark);
    IF NOT was.had_group THEN
        EXECUTE format('REVOKE %I FROM %I', session_user || '_sites', name);
    END IF;
    RETURN true;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kolga FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kolga TO :"account";
COMMIT;
