-- Videos that are fetched from an address, and not sent.

ALTER TABLE jobs ADD COLUMN source_url text;
COMMENT ON COLUMN jobs.source_url IS 'where the video is fetched from, as it may be shown: without passwords and query; null = it was sent';

CREATE TABLE fetches (
    job_id     uuid PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    url        text,
    validator  text,
    length     bigint,
    received   bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE fetches IS 'of jobs whose video is fetched: from where, and how far; callers write and never read it';
COMMENT ON COLUMN fetches.url IS 'with what is secret in it; null = the original is in the store';
COMMENT ON COLUMN fetches.validator IS 'what the source calls the version that is being fetched: see streamforge.fetching';
COMMENT ON COLUMN fetches.length IS 'in bytes; null = the source has not said';
COMMENT ON COLUMN fetches.received IS 'so many bytes lie safely in the store';
ALTER TABLE fetches ENABLE ROW LEVEL SECURITY;
