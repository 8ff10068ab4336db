-- Identities: each value whole, as JSON, under its account and its key (names are folded to lower
-- case). Rules: storage/identity_rules.py.
CREATE TABLE identity_users (
    account TEXT NOT NULL,
    key TEXT NOT NULL,                   -- name
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;

CREATE TABLE identity_roles (
    account TEXT NOT NULL,
    key TEXT NOT NULL,                   -- name
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;

CREATE TABLE identity_policies (
    account TEXT NOT NULL,
    key TEXT NOT NULL,                   -- name
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;

CREATE TABLE identity_keys (
    account TEXT NOT NULL,               -- '': key ids are unique among all accounts
    key TEXT NOT NULL,                   -- access key id
    value TEXT NOT NULL,                 -- its secret is sealed
    PRIMARY KEY (account, key)
) WITHOUT ROWID;

-- An index: which users and roles a policy is attached to.
CREATE TABLE identity_attachments (
    account TEXT NOT NULL,
    key TEXT NOT NULL,                   -- policy, kind and name
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;

CREATE TABLE identity_accounts (
    account TEXT NOT NULL,               -- '' likewise
    key TEXT NOT NULL,                   -- account id
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;
