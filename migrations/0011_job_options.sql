-- What a caller asked for is one document: another option is no other column. The columns of before stay until no version
-- is left that writes and reads them; a trigger in functions.sql keeps both in step.

ALTER TABLE jobs ADD COLUMN options jsonb;
UPDATE jobs SET options = jsonb_build_object(
    'priority', priority, 'profile', profile, 'captions', captions, 'on_damage', coalesce(on_damage, 'fail'),
    'external_id', external_id, 'metadata', metadata, 'webhook_url', webhook_url);
ALTER TABLE jobs ALTER COLUMN options SET NOT NULL;
COMMENT ON COLUMN jobs.options IS 'what the caller asked for; see streamforge.contracts.job_options';
