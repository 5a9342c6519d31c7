-- Where a job came from, for whoever follows it through logs and traces; and how many jobs are where, without looking at
-- those that are over.

ALTER TABLE jobs ADD COLUMN origin jsonb;
COMMENT ON COLUMN jobs.origin IS 'request id and trace of the request that brought it; see streamforge.contracts.origin';

CREATE INDEX jobs_unfinished ON jobs (status, stage) WHERE status IN ('pending', 'processing');
