-- Workers tell that they are there, and hear that they are to stop.

CREATE TABLE workers (
    id                  text PRIMARY KEY,
    host                text NOT NULL,
    version             text NOT NULL,
    about               jsonb NOT NULL,
    started_at          timestamptz NOT NULL,
    seen_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    drain_requested_at  timestamptz
);
COMMENT ON TABLE workers IS 'those that run, or did a moment ago: each tells of itself every few seconds';
COMMENT ON COLUMN workers.about IS 'slots, what runs, memory, GPUs; see streamforge.contracts.worker_view';
ALTER TABLE workers ENABLE ROW LEVEL SECURITY;

CREATE INDEX jobs_by_end ON jobs (completed_at DESC) WHERE completed_at IS NOT NULL;
