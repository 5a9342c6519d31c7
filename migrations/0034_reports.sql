-- Workers outside of this service report on jobs, which then are nothing but such reports.

ALTER TABLE jobs
    ADD COLUMN kind           text NOT NULL DEFAULT 'video' CHECK (kind IN ('video', 'external')),
    ADD COLUMN silence        interval,
    ADD COLUMN report_due_at  timestamptz,
    ADD COLUMN reported_at    timestamptz,
    ADD COLUMN report         jsonb;
COMMENT ON COLUMN jobs.kind IS 'external = who works on it reports from outside; no workflow has it, and no worker of ours';
COMMENT ON COLUMN jobs.silence IS 'of an external job: how long nobody may report of it';
COMMENT ON COLUMN jobs.report_due_at IS 'when an external job fails unless somebody reports; null = of no matter';
COMMENT ON COLUMN jobs.reported_at IS 'the time that its latest report speaks of';
COMMENT ON COLUMN jobs.report IS 'its latest report; see streamforge.contracts.reports';

CREATE INDEX jobs_by_report_due ON jobs (report_due_at)
    WHERE report_due_at IS NOT NULL AND status IN ('pending', 'processing');

CREATE TABLE job_reports (
    job_id  uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    token   uuid NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (job_id, token)
);
COMMENT ON TABLE job_reports IS 'digests of what was reported, and the number of the event that each became: one that is repeated finds it';
ALTER TABLE job_reports ENABLE ROW LEVEL SECURITY;

ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_check,
    ADD CONSTRAINT api_keys_scopes_check CHECK (scopes <@ '{submit,report,read,admin}' AND cardinality(scopes) > 0);
ALTER TABLE sessions DROP CONSTRAINT sessions_scopes_check,
    ADD CONSTRAINT sessions_scopes_check CHECK (scopes <@ '{submit,report,read,admin}');
