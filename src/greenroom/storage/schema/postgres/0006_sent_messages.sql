-- Messages that were sent over HTTP, by what they were asked for with: for ten minutes.
CREATE TABLE sent_messages (
    key text COLLATE "C" PRIMARY KEY,    -- of the room and the request id
    fingerprint text COLLATE "C" NOT NULL, -- of all else that was asked
    message_id text COLLATE "C" NOT NULL,
    asked_at bigint NOT NULL,            -- milliseconds
    time_ns bigint NOT NULL              -- SendTime; 0: no outcome is known
);
CREATE INDEX sent_messages_by_time ON sent_messages (asked_at);
