-- Jobs that failed are tried again under their own id, by another workflow.

ALTER TABLE jobs
    ADD COLUMN retries       integer NOT NULL DEFAULT 0,
    ADD COLUMN parts_kept_at timestamptz;
COMMENT ON COLUMN jobs.retries IS 'how often it was tried again on request';
COMMENT ON COLUMN jobs.parts_kept_at IS 'when it failed with what was encoded of it kept for another try; null = nothing is';

CREATE INDEX jobs_with_kept_parts ON jobs (parts_kept_at) WHERE parts_kept_at IS NOT NULL;
