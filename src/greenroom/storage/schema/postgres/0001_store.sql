-- Texts that are looked up or ordered are compared by their bytes, as Python and SQLite do it, whatever
-- the database's own collation is.

-- One account in one region: its clock of changes, and how many rooms it has. Who changes a room or a
-- logging configuration holds its row: changes of a region come one after the other on all nodes.
CREATE TABLE regions (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    region text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,            -- number of the newest change
    newest_update_time bigint NOT NULL,  -- update times of rooms wait for it over small steps
    rooms bigint NOT NULL,
    UNIQUE (account, region)
);

-- Within a region, `sequence` is the order of changes, whatever the clock did.
CREATE TABLE rooms (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region bigint NOT NULL REFERENCES regions (key),
    sequence bigint NOT NULL,
    arn text COLLATE "C" NOT NULL UNIQUE,
    name text COLLATE "C",
    maximum_message_rate_per_second bigint NOT NULL,
    maximum_message_length bigint NOT NULL,
    handler_uri text COLLATE "C",        -- NULL: the room never had a handler
    handler_fallback_result text,
    logging_configuration_identifiers text NOT NULL, -- JSON array of ARNs
    tags text NOT NULL,                  -- JSON object
    create_time bigint NOT NULL,
    update_time bigint NOT NULL
);
CREATE UNIQUE INDEX rooms_by_change ON rooms (region, sequence);
CREATE INDEX rooms_by_name ON rooms (region, coalesce(name, ''), sequence);
CREATE INDEX rooms_by_handler ON rooms (region, coalesce(handler_uri, ''), sequence);

-- Where a room stood in listings before an update moved it to the front.
CREATE TABLE room_positions (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region bigint NOT NULL,
    room bigint NOT NULL REFERENCES rooms (key) ON DELETE CASCADE,
    sequence bigint NOT NULL,
    update_time bigint NOT NULL,
    superseded_sequence bigint NOT NULL,
    superseded_at bigint NOT NULL
);
CREATE INDEX room_positions_by_change ON room_positions (region, superseded_sequence);
CREATE INDEX room_positions_by_age ON room_positions (region, superseded_at);
CREATE INDEX room_positions_by_room ON room_positions (room);

CREATE TABLE logging_configurations (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region bigint NOT NULL REFERENCES regions (key),
    sequence bigint NOT NULL,            -- of its creation
    arn text COLLATE "C" NOT NULL UNIQUE,
    name text,
    destination_kind text NOT NULL,
    destination_name text NOT NULL,
    state text NOT NULL,
    tags text NOT NULL,                  -- JSON object
    create_time bigint NOT NULL,
    update_time bigint NOT NULL
);
CREATE UNIQUE INDEX logging_configurations_by_creation
    ON logging_configurations (region, sequence);

-- An index: which rooms name a configuration. `sequence` is the room's.
CREATE TABLE attachments (
    configuration bigint NOT NULL REFERENCES logging_configurations (key),
    sequence bigint NOT NULL,
    room bigint NOT NULL REFERENCES rooms (key) ON DELETE CASCADE,
    PRIMARY KEY (configuration, sequence)
);
CREATE INDEX attachments_by_room ON attachments (room);

CREATE TABLE redeemed_tokens (
    token_id bytea PRIMARY KEY,          -- UTF-8
    expires bigint NOT NULL,
    use bigint NOT NULL                  -- number of the call: asked once more, it knows its own marks
);
CREATE INDEX redeemed_tokens_by_expiry ON redeemed_tokens (expires);

CREATE TABLE secrets (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

-- The transactions of the last minutes: who lost the connection in the middle of a commit asks here how
-- it ended. `kept` is false where the answer was that it never will.
CREATE TABLE commits (
    number bigint PRIMARY KEY,
    kept boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX commits_by_age ON commits (at);
