-- Restrictions of users, and notes: each change is a row, with the account's next version.
CREATE TABLE restrictions (
    account text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    scope text COLLATE "C" NOT NULL,     -- ARN of a room, or the account
    user_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    latest integer NOT NULL,             -- 1: of its scope, user and kind; notes are 0
    lifted integer NOT NULL,
    ends bigint NOT NULL,                -- when it is over, in milliseconds: what counts has the largest
    value text NOT NULL,                 -- JSON
    PRIMARY KEY (account, version)
);
CREATE INDEX restrictions_by_user ON restrictions (account, user_id, scope, kind, latest);
CREATE INDEX restrictions_by_end ON restrictions (ends);
