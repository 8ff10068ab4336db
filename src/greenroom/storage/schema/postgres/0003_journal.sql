-- The queues of the chat logs' journal, one for each logging configuration for which there were ever
-- records. Who adds records holds the table in ROW SHARE mode, who removes a queue in EXCLUSIVE mode.
CREATE TABLE journal_queues (
    key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    configuration text COLLATE "C" NOT NULL UNIQUE, -- its ARN
    batch bigint,                        -- the present batch's last sequence; NULL: there is none
    removed_records bigint NOT NULL DEFAULT 0, -- since the queue was made
    removed_size bigint NOT NULL DEFAULT 0     -- bytes of their payloads
);

-- What was added to a queue since it was made: a row for each stream, which one node reads at a time.
-- At one row for all, those who add to the queue would wait for each other.
CREATE TABLE journal_added (
    queue integer NOT NULL,
    stream integer NOT NULL,             -- -1: by a node on its own
    records bigint NOT NULL,
    size bigint NOT NULL,
    PRIMARY KEY (queue, stream)
) WITH (fillfactor = 50);

-- A record that several configurations wait for stands here once for each.
CREATE TABLE journal (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- a number that was used never comes back
    queue integer NOT NULL,
    room text NOT NULL,                  -- its id; account and region are the configuration's
    time_ns bigint NOT NULL,
    payload bytea NOT NULL,
    batch bigint                         -- that of its queue, once it is in one
);
CREATE INDEX journal_by_queue ON journal (queue, sequence);

-- The message up to which each stream of the bus was read: see storage/journal.py.
CREATE TABLE stream_positions (
    stream integer PRIMARY KEY,
    created text NOT NULL,
    sequence bigint NOT NULL,
    stamp_ns bigint NOT NULL
);
