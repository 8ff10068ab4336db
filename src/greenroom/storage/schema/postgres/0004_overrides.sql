-- What is set in a room beside its tags: JSON, with a version.
ALTER TABLE rooms ADD COLUMN overrides text NOT NULL DEFAULT '{}';
