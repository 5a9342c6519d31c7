-- Whether a job ends cancelled is decided in its row, by one lock: a request that found it unfinished leaves its mark, and
-- from then on 'cancelled' is the only last word that the log takes. A request that comes too late finds the job over.

ALTER TABLE jobs ADD COLUMN cancel_requested_at timestamptz;
COMMENT ON COLUMN jobs.cancel_requested_at IS 'when somebody was told that the job will be cancelled';

CREATE INDEX jobs_to_cancel ON jobs (cancel_requested_at)
WHERE cancel_requested_at IS NOT NULL AND status IN ('pending', 'processing');

-- As before, but for that rule.
CREATE OR REPLACE FUNCTION append_event(change jsonb, stages text[], again boolean) RETURNS progress_events LANGUAGE plpgsql AS $$
DECLARE
    before        jobs;
    job           jobs;
    logged        progress_events;
    report        jsonb;
    earlier       double precision;
    worked        boolean := false;
    moved         boolean;
    ending        text := change ->> 'status';
    details       jsonb := change -> 'details';
    new_stage     text := change ->> 'stage';
    new_progress  smallint := (change -> 'progress')::smallint;
BEGIN
    IF again THEN
        SELECT * INTO logged FROM progress_events AS event
        WHERE event.job_id = (change ->> 'job_id')::uuid AND event.token = (change ->> 'token')::uuid;
        IF FOUND THEN RETURN logged; END IF;
    END IF;

    SELECT * INTO before FROM jobs
    WHERE id = (change ->> 'job_id')::uuid AND status NOT IN ('completed', 'failed', 'cancelled') FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF before.cancel_requested_at IS NOT NULL AND ending IN ('completed', 'failed') THEN RETURN NULL; END IF;

    FOR report IN SELECT * FROM jsonb_array_elements(change -> 'parts') LOOP
        SELECT done INTO earlier FROM part_progress
        WHERE job_id = before.id AND stage = report ->> 'stage' AND part = report ->> 'part';
        worked := worked OR (report -> 'done')::double precision > coalesce(earlier, 0);
        new_progress := greatest(new_progress, record_part(before.id, report));
    END LOOP;
    new_progress := CASE WHEN ending = 'completed' THEN 100 ELSE greatest(before.progress, new_progress) END;
    IF array_position(stages, new_stage) < array_position(stages, before.stage) THEN
        new_stage := before.stage;
    END IF;
    moved := worked OR (coalesce(ending, before.status), new_stage, new_progress)
                       IS DISTINCT FROM (before.status, before.stage, before.progress);

    UPDATE jobs SET
        event_seq     = event_seq + 1,
        updated_at    = clock_timestamp(),
        moved_at      = CASE WHEN moved THEN clock_timestamp() ELSE moved_at END,
        work_began_at = CASE WHEN worked THEN coalesce(work_began_at, clock_timestamp()) ELSE work_began_at END,
        stage         = new_stage,
        progress      = new_progress,
        status        = coalesce(ending, status),
        started_at    = CASE WHEN ending = 'processing' THEN coalesce(started_at, clock_timestamp()) ELSE started_at END,
        completed_at  = CASE WHEN ending IN ('completed', 'failed', 'cancelled') THEN clock_timestamp() END,
        error         = coalesce(change -> 'error', error),
        error_message = coalesce(change -> 'error' ->> 'message', error_message),
        result        = coalesce(change -> 'result', result),
        source        = coalesce(change -> 'source', source),
        renditions    = coalesce(change -> 'renditions', renditions),
        playback      = coalesce(change -> 'playback', playback)
    WHERE id = before.id
    RETURNING * INTO job;
    IF job.batch_id IS NOT NULL AND ending IN ('completed', 'failed', 'cancelled') THEN
        details := coalesce(details, '{}') || jsonb_build_object('batch', count_in_batch(job.batch_id, ending));
    END IF;
    RETURN log_event(job, change ->> 'event', change ->> 'message', details, (change ->> 'token')::uuid);
END $$;
