-- What rooms have shown that keep history.
CREATE TABLE history_rooms (
    key INTEGER PRIMARY KEY,
    room TEXT NOT NULL UNIQUE,           -- its ARN
    newest INTEGER NOT NULL,             -- the number of its newest frame
    ended INTEGER NOT NULL               -- 1: something may be missing behind that
);
CREATE TABLE history (
    room INTEGER NOT NULL,               -- key of history_rooms
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    action TEXT NOT NULL,                -- the operation that it comes from
    audience TEXT NOT NULL,
    user_id TEXT NOT NULL,               -- whom the audience names
    author TEXT NOT NULL,                -- who wrote it: what is erased with a user
    deletes TEXT NOT NULL,               -- JSON: ids of messages; or nothing
    deleted INTEGER NOT NULL,            -- 1: another frame has deleted it
    begins INTEGER NOT NULL,             -- 1: something may be missing before it
    payload BLOB NOT NULL,
    marked BLOB NOT NULL,
    PRIMARY KEY (room, number)
) WITHOUT ROWID;
CREATE INDEX history_by_id ON history (room, id);
