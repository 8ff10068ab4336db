-- What rooms have shown that keep history.
CREATE TABLE history_rooms (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room text COLLATE "C" NOT NULL UNIQUE,   -- its ARN
    newest bigint NOT NULL,              -- the number of its newest frame
    ended integer NOT NULL               -- 1: something may be missing behind that
);
CREATE TABLE history (
    room bigint NOT NULL,                -- key of history_rooms
    number bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    time_ns bigint NOT NULL,
    action text NOT NULL,                -- the operation that it comes from
    audience text NOT NULL,
    user_id text COLLATE "C" NOT NULL,   -- whom the audience names
    author text COLLATE "C" NOT NULL,    -- who wrote it: what is erased with a user
    deletes text NOT NULL,               -- JSON: ids of messages; or nothing
    deleted integer NOT NULL,            -- 1: another frame has deleted it
    begins integer NOT NULL,             -- 1: something may be missing before it
    payload bytea NOT NULL,
    marked bytea NOT NULL,
    PRIMARY KEY (room, number)
);
CREATE INDEX history_by_id ON history (room, id);
