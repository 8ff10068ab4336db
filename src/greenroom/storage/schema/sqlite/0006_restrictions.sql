-- Restrictions of users, and notes: each change is a row, with the account's next version.
CREATE TABLE restrictions (
    account TEXT NOT NULL,
    version INTEGER NOT NULL,
    scope TEXT NOT NULL,                 -- ARN of a room, or the account
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    latest INTEGER NOT NULL,             -- 1: of its scope, user and kind; notes are 0
    lifted INTEGER NOT NULL,
    ends INTEGER NOT NULL,               -- when it is over, in milliseconds: what counts has the largest
    value TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (account, version)
) WITHOUT ROWID;
CREATE INDEX restrictions_by_user ON restrictions (account, user_id, scope, kind, latest);
CREATE INDEX restrictions_by_end ON restrictions (ends);
