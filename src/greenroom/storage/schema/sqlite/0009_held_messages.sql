-- Messages that were accepted and wait until viewers may see them.
CREATE TABLE held_messages (
    number INTEGER PRIMARY KEY,
    room TEXT NOT NULL,                  -- its ARN
    id TEXT NOT NULL,
    author TEXT NOT NULL,                -- who wrote it: what is erased with a user
    time_ns INTEGER NOT NULL,            -- SendTime
    shadowed INTEGER NOT NULL,           -- 1: it is for its author and moderators alone
    recorded INTEGER NOT NULL,           -- 1: the journal has it
    payload BLOB NOT NULL,
    marked BLOB NOT NULL,
    UNIQUE (room, id)
);
