-- One log, followed three ways: a job's events by `seq`, an owner's and a batch's by `owner_seq`. And the functions that
-- write it; streamforge.events.log says why no reader ever misses an event.

CREATE TABLE owners (
    -- Travels in notifications, between colons.
    id         text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_.@+-]{1,128}$'),
    event_seq  bigint NOT NULL DEFAULT 0,
    swept_seq  bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE owners IS 'whose jobs they are; everybody''s, as long as nobody has to say who they are';
COMMENT ON COLUMN owners.swept_seq IS 'events up to this number may have been deleted with their jobs';
INSERT INTO owners (id) VALUES ('everyone');

CREATE TABLE batches (
    id          uuid PRIMARY KEY,
    owner       text NOT NULL DEFAULT 'everyone' REFERENCES owners,
    created_at  timestamptz NOT NULL DEFAULT now(),
    total       integer NOT NULL CHECK (total > 0),
    completed   integer NOT NULL DEFAULT 0,
    failed      integer NOT NULL DEFAULT 0,
    cancelled   integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE batches IS 'many videos sent as one; the counters are of jobs that are over';

ALTER TABLE jobs
    ALTER COLUMN created_at SET DEFAULT clock_timestamp(),  -- those of a batch stand in a queue, too
    ADD COLUMN owner          text NOT NULL DEFAULT 'everyone' REFERENCES owners,
    ADD COLUMN batch_id       uuid REFERENCES batches ON DELETE SET NULL,
    ADD COLUMN moved_at       timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN work_began_at  timestamptz;
COMMENT ON COLUMN jobs.moved_at IS 'when it last got any further';
COMMENT ON COLUMN jobs.work_began_at IS 'when a worker did its first frame; until then it waits, whatever its status';
CREATE INDEX jobs_of_a_batch ON jobs (batch_id) WHERE batch_id IS NOT NULL;

ALTER TABLE progress_events
    ADD COLUMN owner      text NOT NULL DEFAULT 'everyone',
    ADD COLUMN owner_seq  bigint,
    ADD COLUMN batch_id   uuid,
    ADD COLUMN token      uuid;
COMMENT ON COLUMN progress_events.token IS 'the writer''s own name for it: an append that is repeated finds it';
UPDATE progress_events SET owner_seq = numbered.number
FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM progress_events) AS numbered
WHERE progress_events.id = numbered.id;
UPDATE owners SET event_seq = (SELECT count(*) FROM progress_events);
ALTER TABLE progress_events
    ALTER COLUMN owner_seq SET NOT NULL,
    ADD UNIQUE (owner, owner_seq);
CREATE INDEX progress_events_of_a_batch ON progress_events (batch_id, owner_seq) WHERE batch_id IS NOT NULL;

DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (priority, created_at, id)
    WHERE work_began_at IS NULL AND status IN ('pending', 'processing');
CREATE OR REPLACE FUNCTION queue_position(job jobs) RETURNS bigint STABLE LANGUAGE sql AS $$
    SELECT count(*) FROM jobs AS other
    WHERE job.work_began_at IS NULL AND job.status IN ('pending', 'processing')
      AND other.work_began_at IS NULL AND other.status IN ('pending', 'processing')
      AND (other.priority, other.created_at, other.id) < (job.priority, job.created_at, job.id)
    HAVING job.work_began_at IS NULL AND job.status IN ('pending', 'processing')
$$;
COMMENT ON FUNCTION queue_position IS 'how many jobs that no worker has begun go before this one; null when it does not wait';

CREATE FUNCTION job_summary(job jobs) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$
    SELECT jsonb_build_object('job_id', job.id, 'status', job.status, 'stage', job.stage, 'progress', job.progress)
$$;

-- ── writing the log ─────────────────────────────────────────────────────────────────────────────────────────────────

-- The row of an event whose job row was raised to its number just now, under its lock.
CREATE FUNCTION log_event(job jobs, event text, message text, details jsonb, token uuid) RETURNS progress_events
LANGUAGE plpgsql AS $$
DECLARE
    logged progress_events;
    number bigint;
BEGIN
    UPDATE owners SET event_seq = event_seq + 1 WHERE id = job.owner RETURNING event_seq INTO number;
    INSERT INTO progress_events (job_id, seq, owner, owner_seq, batch_id, event, stage, progress, message, details, token)
    VALUES (job.id, job.event_seq, job.owner, number, job.batch_id, event, job.stage, job.progress, message, details, token)
    RETURNING * INTO logged;
    RETURN logged;
END $$;

CREATE FUNCTION notification(logged progress_events) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT concat_ws(':', logged.job_id, logged.seq, logged.owner, logged.owner_seq, logged.batch_id)
$$;

-- What one part has done; parts never go back. How far its stage is with all of them together, in percent of the job.
CREATE FUNCTION record_part(job uuid, report jsonb) RETURNS smallint LANGUAGE plpgsql AS $$
DECLARE
    low    integer := report -> 'low';
    high   integer := report -> 'high';
    whole  double precision := report -> 'whole';
    total  double precision;
BEGIN
    INSERT INTO part_progress (job_id, stage, part, done)
    VALUES (job, report ->> 'stage', report ->> 'part', (report -> 'done')::double precision)
    ON CONFLICT (job_id, stage, part) DO UPDATE SET done = greatest(part_progress.done, excluded.done);
    SELECT sum(done) INTO total FROM part_progress WHERE job_id = job AND stage = report ->> 'stage';
    RETURN low + floor((high - low) * CASE WHEN whole > 0 THEN least(1, total / whole) ELSE 1 END);
END $$;

CREATE FUNCTION count_in_batch(batch uuid, ending text) RETURNS jsonb LANGUAGE sql AS $$
    UPDATE batches SET completed = completed + (ending = 'completed')::integer,
                       failed    = failed + (ending = 'failed')::integer,
                       cancelled = cancelled + (ending = 'cancelled')::integer
    WHERE id = batch
    RETURNING jsonb_build_object('id', id, 'current', completed + failed + cancelled, 'total', total,
                                 'completed', completed, 'failed', failed, 'cancelled', cancelled)
$$;

-- One event and what it changes. Progress never goes down, the stage never goes back (a report from an attempt that was
-- already replaced may arrive late), and a job that is over stays as it is: then nothing comes out. With `again` an
-- event that is there already comes out as it is.
CREATE FUNCTION append_event(change jsonb, stages text[], again boolean) RETURNS progress_events LANGUAGE plpgsql AS $$
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

-- Several events in one transaction, each job's in the order given, told to listeners once for each job. All locks are
-- taken first, and in one order: jobs, batches, owners, each by id. So writers wait for each other, never in a circle.
CREATE FUNCTION append_events(changes jsonb, stages text[], again boolean) RETURNS SETOF progress_events
LANGUAGE plpgsql AS $$
DECLARE
    wanted  uuid[] := ARRAY(SELECT DISTINCT (value ->> 'job_id')::uuid FROM jsonb_array_elements(changes));
    change  jsonb;
    logged  progress_events;
    told    jsonb := '{}';
BEGIN
    PERFORM 1 FROM jobs WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM batches WHERE id IN (SELECT batch_id FROM jobs WHERE id = ANY (wanted)) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM owners WHERE id IN (SELECT owner FROM jobs WHERE id = ANY (wanted)) ORDER BY id FOR NO KEY UPDATE;
    FOR change IN SELECT value FROM jsonb_array_elements(changes) LOOP
        logged := append_event(change, stages, again);
        IF logged.id IS NOT NULL THEN
            told := told || jsonb_build_object(logged.job_id, notification(logged));
            RETURN NEXT logged;
        END IF;
    END LOOP;
    PERFORM pg_notify('streamforge_events', payload) FROM jsonb_each_text(told) AS each_job (job, payload);
END $$;
