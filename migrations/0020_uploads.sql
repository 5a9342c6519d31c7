-- Uploads that can be resumed. Their jobs are there from the first byte on, in a status of their own, which versions before
-- this one neither start nor end.

ALTER TABLE jobs
    DROP CONSTRAINT jobs_status_check,
    ADD CONSTRAINT jobs_status_check
        CHECK (status IN ('uploading', 'pending', 'processing', 'completed', 'failed', 'cancelled'));

CREATE TABLE uploads (
    id          uuid PRIMARY KEY,
    owner       text NOT NULL REFERENCES owners,
    job_id      uuid REFERENCES jobs ON DELETE CASCADE,
    length      bigint CHECK (length >= 0),
    received    bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
    made_of     uuid[],
    metadata    text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
COMMENT ON TABLE uploads IS 'by the tus protocol; one is over when its job is not uploading any more';
COMMENT ON COLUMN uploads.job_id IS 'null = it is a part of another upload, and no video by itself';
COMMENT ON COLUMN uploads.length IS 'in bytes; null = its sender does not know yet';
COMMENT ON COLUMN uploads.received IS 'so many bytes lie safely in the store';
COMMENT ON COLUMN uploads.made_of IS 'the parts that were put together';
COMMENT ON COLUMN uploads.metadata IS 'as it was sent: Upload-Metadata';
CREATE INDEX uploads_by_end ON uploads (expires_at);
CREATE INDEX uploads_of_an_owner ON uploads (owner, created_at) WHERE job_id IS NULL;
CREATE INDEX uploads_of_a_job ON uploads (job_id) WHERE job_id IS NOT NULL;
ALTER TABLE uploads ENABLE ROW LEVEL SECURITY;

DROP INDEX jobs_to_cancel;
CREATE INDEX jobs_to_cancel ON jobs (cancel_requested_at, id)
    WHERE cancel_requested_at IS NOT NULL AND cancel_told_at IS NULL AND status IN ('uploading', 'pending', 'processing');
