-- Identities: each value whole, as JSON, under its account and its key (names are folded to lower
-- case). Rules: storage/identity_rules.
CREATE TABLE identity_users (
    account text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,       -- name
    value text NOT NULL,
    PRIMARY KEY (account, key)
);

CREATE TABLE identity_roles (
    account text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,       -- name
    value text NOT NULL,
    PRIMARY KEY (account, key)
);

CREATE TABLE identity_policies (
    account text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,       -- name
    value text NOT NULL,
    PRIMARY KEY (account, key)
);

CREATE TABLE identity_keys (
    account text COLLATE "C" NOT NULL,   -- '': key ids are unique among all accounts
    key text COLLATE "C" NOT NULL,       -- access key id
    value text NOT NULL,                 -- its secret is sealed
    PRIMARY KEY (account, key)
);

-- An index: which users and roles a policy is attached to.
CREATE TABLE identity_attachments (
    account text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,       -- policy, kind and name
    value text NOT NULL,
    PRIMARY KEY (account, key)
);

CREATE TABLE identity_accounts (
    account text COLLATE "C" NOT NULL,   -- '' likewise
    key text COLLATE "C" NOT NULL,       -- account id
    value text NOT NULL,
    PRIMARY KEY (account, key)
);
