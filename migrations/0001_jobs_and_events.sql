-- Jobs and their event log.
--
-- The log is numbered per job: `jobs.event_seq` is raised by the same statement that inserts the event, so the row lock
-- orders concurrent writers and a rolled-back append leaves no gap. `progress_events.id` alone could not serve as a
-- cursor: sequences are handed out before commit, and a reader at "the highest id seen" would skip late committers.

CREATE TABLE jobs (
    id             uuid PRIMARY KEY,
    key            text NOT NULL,
    bucket         text NOT NULL DEFAULT 'input',
    status         text NOT NULL DEFAULT 'pending'
                   CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    stage          text NOT NULL DEFAULT 'uploading',
    progress       smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    workflow_id    text NOT NULL UNIQUE,
    error_message  text,
    result         jsonb,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    completed_at   timestamptz,

    source_object  text NOT NULL,
    size_bytes     bigint NOT NULL,
    source_sha256  text NOT NULL,
    external_id    text,
    metadata       jsonb,
    priority       smallint NOT NULL DEFAULT 3 CHECK (priority BETWEEN 1 AND 5),
    profile        text,
    webhook_url    text,
    captions       text,

    source         jsonb,
    renditions     jsonb,
    playback       jsonb,
    error          jsonb,
    started_at     timestamptz,
    launched_at    timestamptz,
    event_seq      bigint NOT NULL DEFAULT 0
);

COMMENT ON COLUMN jobs.launched_at IS 'when Temporal took the workflow; null = the API still owes it the start';

CREATE INDEX jobs_newest ON jobs (created_at DESC, id DESC);
CREATE INDEX jobs_waiting ON jobs (priority, created_at) WHERE status = 'pending';
CREATE INDEX jobs_unlaunched ON jobs (created_at) WHERE launched_at IS NULL;

CREATE TABLE progress_events (
    id          bigserial PRIMARY KEY,
    job_id      uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    seq         bigint NOT NULL,
    event       text NOT NULL DEFAULT 'progress'
                -- Becomes the `event:` line of a stream: no line breaks, and no name that a stream or EventSource uses itself.
                CHECK (event ~ '^[a-z][a-z_]*$' AND event NOT IN ('message', 'open', 'error', 'status', 'reset', 'done')),
    stage       text NOT NULL,
    progress    smallint NOT NULL,
    message     text NOT NULL,
    details     jsonb,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (job_id, seq)
);

-- What each concurrently encoded part of a stage has done; summed into jobs.progress under the job row's lock.
CREATE TABLE part_progress (
    job_id  uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    stage   text NOT NULL,
    part    text NOT NULL,
    done    double precision NOT NULL,
    PRIMARY KEY (job_id, stage, part)
);

-- What every view of a job carries beside its row.
CREATE FUNCTION latest_events(job uuid) RETURNS jsonb STABLE LANGUAGE sql AS $$
    SELECT coalesce(jsonb_agg(latest), '[]')
    FROM (SELECT stage, progress, message, created_at FROM progress_events
          WHERE job_id = job ORDER BY seq DESC LIMIT 10) AS latest
$$;
COMMENT ON FUNCTION latest_events IS 'the ten latest, newest first';

CREATE FUNCTION queue_position(job jobs) RETURNS bigint STABLE LANGUAGE sql AS $$
    SELECT count(*) FROM jobs AS other
    WHERE job.status = 'pending' AND other.status = 'pending'
      AND (other.priority, other.created_at, other.id) < (job.priority, job.created_at, job.id)
    HAVING job.status = 'pending'
$$;
COMMENT ON FUNCTION queue_position IS 'how many pending jobs go before this one; null when it does not wait';
