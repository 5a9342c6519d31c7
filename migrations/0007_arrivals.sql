-- Videos whose bytes come into the store before their rows can be written.

CREATE TABLE arrivals (
    job_id   uuid PRIMARY KEY,
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE arrivals IS 'of batches whose upload goes on: told again while it does, so that the sweep leaves them alone';
