-- What a room is told again and again: JSON, and when the first of it has to be looked at.
ALTER TABLE rooms ADD COLUMN schedules text NOT NULL DEFAULT '[]';
ALTER TABLE rooms ADD COLUMN scheduled_at bigint;     -- milliseconds
CREATE INDEX rooms_by_schedule ON rooms (scheduled_at) WHERE scheduled_at IS NOT NULL;
