-- What callers change of a job while it runs and afterwards.

ALTER TABLE jobs
    ADD COLUMN retain_until        timestamptz,
    ADD COLUMN legal_hold          boolean NOT NULL DEFAULT false,
    ADD COLUMN purge_requested_at  timestamptz,
    ADD COLUMN paused_at           timestamptz,
    ADD COLUMN control_number      bigint NOT NULL DEFAULT 0,
    ADD COLUMN control_told        bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN jobs.retain_until IS 'when it may be removed; null = when the settings say';
COMMENT ON COLUMN jobs.legal_hold IS 'nothing of it is removed, by whomever';
COMMENT ON COLUMN jobs.purge_requested_at IS 'when somebody was told that it goes, with its media';
COMMENT ON COLUMN jobs.paused_at IS 'since when no part of it is begun';
COMMENT ON COLUMN jobs.control_number IS 'raised with each change that its workflow must hear of';
COMMENT ON COLUMN jobs.control_told IS 'the number that its workflow has heard of; smaller = the API still owes it';

CREATE INDEX jobs_to_purge ON jobs (purge_requested_at, id) WHERE purge_requested_at IS NOT NULL;
CREATE INDEX jobs_to_control ON jobs (id) WHERE control_told < control_number AND status IN ('pending', 'processing');
