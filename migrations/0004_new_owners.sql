-- An owner is known from the first job on: nobody has to be registered.

CREATE OR REPLACE FUNCTION log_event(job jobs, event text, message text, details jsonb, token uuid) RETURNS progress_events
LANGUAGE plpgsql AS $$
DECLARE
    logged progress_events;
    number bigint;
BEGIN
    INSERT INTO owners (id, event_seq) VALUES (job.owner, 1)
    ON CONFLICT (id) DO UPDATE SET event_seq = owners.event_seq + 1
    RETURNING event_seq INTO number;
    INSERT INTO progress_events (job_id, seq, owner, owner_seq, batch_id, event, stage, progress, message, details, token)
    VALUES (job.id, job.event_seq, job.owner, number, job.batch_id, event, job.stage, job.progress, message, details, token)
    RETURNING * INTO logged;
    RETURN logged;
END $$;
