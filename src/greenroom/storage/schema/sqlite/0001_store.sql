-- One account in one region: its clock of changes, and how many rooms it has.
CREATE TABLE regions (
    key INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    sequence INTEGER NOT NULL,           -- number of the newest change
    newest_update_time INTEGER NOT NULL, -- update times of rooms wait for it over small steps
    rooms INTEGER NOT NULL,
    UNIQUE (account, region)
);

-- Within a region, `sequence` is the order of changes, whatever the clock did.
CREATE TABLE rooms (
    key INTEGER PRIMARY KEY,
    region INTEGER NOT NULL REFERENCES regions (key),
    sequence INTEGER NOT NULL,
    arn TEXT NOT NULL UNIQUE,
    name TEXT,
    maximum_message_rate_per_second INTEGER NOT NULL,
    maximum_message_length INTEGER NOT NULL,
    handler_uri TEXT,                    -- NULL: the room never had a handler
    handler_fallback_result TEXT,
    logging_configuration_identifiers TEXT NOT NULL, -- JSON array of ARNs
    tags TEXT NOT NULL,                  -- JSON object
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
);
CREATE UNIQUE INDEX rooms_by_change ON rooms (region, sequence);
CREATE INDEX rooms_by_name ON rooms (region, coalesce(name, ''), sequence);
CREATE INDEX rooms_by_handler ON rooms (region, coalesce(handler_uri, ''), sequence);

-- Where a room stood in listings before an update moved it to the front.
CREATE TABLE room_positions (
    key INTEGER PRIMARY KEY,
    region INTEGER NOT NULL,
    room INTEGER NOT NULL REFERENCES rooms (key) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    superseded_sequence INTEGER NOT NULL,
    superseded_at INTEGER NOT NULL
);
CREATE INDEX room_positions_by_change ON room_positions (region, superseded_sequence);
CREATE INDEX room_positions_by_age ON room_positions (superseded_at);
CREATE INDEX room_positions_by_room ON room_positions (room);

CREATE TABLE logging_configurations (
    key INTEGER PRIMARY KEY,
    region INTEGER NOT NULL REFERENCES regions (key),
    sequence INTEGER NOT NULL,           -- of its creation
    arn TEXT NOT NULL UNIQUE,
    name TEXT,
    destination_kind TEXT NOT NULL,
    destination_name TEXT NOT NULL,
    state TEXT NOT NULL,
    tags TEXT NOT NULL,                  -- JSON object
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
);
CREATE UNIQUE INDEX logging_configurations_by_creation
    ON logging_configurations (region, sequence);

-- An index: which rooms name a configuration. `sequence` is the room's.
CREATE TABLE attachments (
    configuration INTEGER NOT NULL REFERENCES logging_configurations (key),
    sequence INTEGER NOT NULL,
    room INTEGER NOT NULL REFERENCES rooms (key) ON DELETE CASCADE,
    PRIMARY KEY (configuration, sequence)
) WITHOUT ROWID;
CREATE INDEX attachments_by_room ON attachments (room);

-- A database made before the first release may have `token_id` alone as its key: it serves as well.
-- `quick_check` of SQLite 3.40 finds NULLs where a key's columns are in another order than the table's.
CREATE TABLE redeemed_tokens (
    expires INTEGER NOT NULL,            -- sealed in the token, as its id is
    token_id TEXT NOT NULL,
    PRIMARY KEY (expires, token_id)      -- those used at one time lie together: few pages are written
) WITHOUT ROWID;

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
