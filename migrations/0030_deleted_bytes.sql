-- How many bytes of what an owner sent today (UTC) were deleted since: they count for the day all the same. One row for each owner.

CREATE TABLE deleted_bytes (
    owner  text PRIMARY KEY,
    day    date NOT NULL,
    bytes  bigint NOT NULL CHECK (bytes >= 0)
);
COMMENT ON TABLE deleted_bytes IS 'of jobs and parts that are gone; see keep_bytes()';
ALTER TABLE deleted_bytes ENABLE ROW LEVEL SECURITY;
