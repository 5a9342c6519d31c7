-- Which cancels somebody still has to tell Temporal. What was told is the workflow's to bring about, however long it takes.

ALTER TABLE jobs ADD COLUMN cancel_told_at timestamptz;
COMMENT ON COLUMN jobs.cancel_told_at IS 'when Temporal took the request; null = the API still owes it';

DROP INDEX jobs_to_cancel;
CREATE INDEX jobs_to_cancel ON jobs (cancel_requested_at, id)
WHERE cancel_requested_at IS NOT NULL AND cancel_told_at IS NULL AND status IN ('pending', 'processing');
