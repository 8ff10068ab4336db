-- Two roles and a database for Greenroom. The owner makes and upgrades the schema; the nodes' role reads and
-- writes its tables, and can do nothing else. As a superuser, with the passwords in the environment, where
-- the list of processes does not show them:
--
--     OWNER_PASSWORD=... NODE_PASSWORD=... psql -f roles.sql
--
-- Then let the owner do the schema's steps, once now and before each upgrade, with `greenroom cluster
-- init`; `greenroom migrate` does them as well.
\set ON_ERROR_STOP on
\getenv owner_password OWNER_PASSWORD
\getenv node_password NODE_PASSWORD

CREATE ROLE greenroom_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE greenroom_node LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'node_password';

CREATE DATABASE greenroom OWNER greenroom_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE greenroom FROM PUBLIC;
GRANT CONNECT ON DATABASE greenroom TO greenroom_node;

\connect greenroom
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA greenroom AUTHORIZATION greenroom_owner;
GRANT USAGE ON SCHEMA greenroom TO greenroom_node;
-- What the owner makes there, now and in upgrades, is for the nodes to use.
ALTER DEFAULT PRIVILEGES FOR ROLE greenroom_owner IN SCHEMA greenroom
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO greenroom_node;
