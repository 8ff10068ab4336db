-- Messages that were sent over HTTP, by what they were asked for with: for ten minutes.
CREATE TABLE sent_messages (
    key TEXT PRIMARY KEY,                -- of the room and the request id
    fingerprint TEXT NOT NULL,           -- of all else that was asked
    message_id TEXT NOT NULL,
    asked_at INTEGER NOT NULL,           -- milliseconds
    time_ns INTEGER NOT NULL             -- SendTime; 0: no outcome is known
) WITHOUT ROWID;
CREATE INDEX sent_messages_by_time ON sent_messages (asked_at);
