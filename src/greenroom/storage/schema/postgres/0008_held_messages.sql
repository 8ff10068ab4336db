-- Messages that were accepted and wait until viewers may see them.
CREATE TABLE held_messages (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room text COLLATE "C" NOT NULL,      -- its ARN
    id text COLLATE "C" NOT NULL,
    author text COLLATE "C" NOT NULL,    -- who wrote it: what is erased with a user
    time_ns bigint NOT NULL,             -- SendTime
    shadowed integer NOT NULL,           -- 1: it is for its author and moderators alone
    recorded integer NOT NULL,           -- 1: the journal has it
    payload bytea NOT NULL,
    marked bytea NOT NULL,
    UNIQUE (room, id)
);
