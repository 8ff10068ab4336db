-- The queues of the chat logs' journal that are not empty, one for each logging configuration.
CREATE TABLE journal_queues (
    key INTEGER PRIMARY KEY,
    configuration TEXT NOT NULL UNIQUE,  -- its ARN
    records INTEGER NOT NULL,
    size INTEGER NOT NULL,               -- bytes of their payloads
    batch INTEGER                        -- the present batch's last sequence; NULL: there is none
);

-- A record that several configurations wait for stands here once for each.
CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, -- a number that was used never comes back
    queue INTEGER NOT NULL REFERENCES journal_queues (key),
    room TEXT NOT NULL,                  -- its id; account and region are the configuration's
    time_ns INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX journal_by_queue ON journal (queue); -- and by sequence, as every index
