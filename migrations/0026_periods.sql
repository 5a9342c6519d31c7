-- Originals and outputs have periods of their own, and who has an asset is told a day before it goes.

ALTER TABLE jobs
    ADD COLUMN original_removed_at  timestamptz,
    ADD COLUMN output_removed_at    timestamptz,
    ADD COLUMN expiring_told_at     timestamptz;
COMMENT ON COLUMN jobs.expiring_told_at IS 'when it was told that the job is about to go';
