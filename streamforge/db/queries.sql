-- Every query of StreamForge, by name; streamforge.db.queries reads this file once at import.
-- Parameters are numbered; what each one is stands beside its first use.


-- ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

-- name: create_job
-- The row and its first event in one statement. Idempotent: after a lost connection the caller cannot know whether it
-- was committed, and asks again.
WITH created AS (
    INSERT INTO jobs (id, key, workflow_id, source_object, size_bytes, external_id, metadata, priority, profile,
                      webhook_url, captions, source_sha256, stage, progress, event_seq)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'uploading', $13 /* progress */, 1)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, stage, progress
)
INSERT INTO progress_events (job_id, seq, stage, progress, message)
SELECT id, 1, stage, progress, $14 /* message */ FROM created;

-- name: get_job
SELECT jobs.*, latest_events(id), queue_position(jobs)
FROM jobs
WHERE id = $1;

-- name: list_jobs
-- Newest first. Keyset pagination: a page begins after the last (created_at, id) of the one before, so that rows which
-- arrive in between neither repeat nor hide others.
SELECT jobs.*, latest_events(id), queue_position(jobs)
FROM jobs
WHERE ($1::timestamptz IS NULL /* created_at of the cursor */ OR (created_at, id) < ($1, $2::uuid))
  AND ($3::text IS NULL /* status */ OR status = $3)
ORDER BY created_at DESC, id DESC
LIMIT $4;

-- name: job_state
SELECT id, status, stage, progress, event_seq,
       coalesce((SELECT min(seq) - 1 FROM progress_events WHERE job_id = jobs.id), event_seq) AS swept_seq
FROM jobs WHERE id = $1;

-- name: unlaunched_jobs
-- Jobs that Temporal has not taken yet, the most urgent first.
SELECT * FROM jobs
WHERE launched_at IS NULL AND status = 'pending'
ORDER BY priority, created_at
LIMIT $1;

-- name: mark_launched
-- Answers with the status, for whoever cancelled the job while it was being started.
UPDATE jobs SET launched_at = coalesce(launched_at, clock_timestamp()) WHERE id = $1 RETURNING status;

-- name: expired_jobs
SELECT id FROM jobs
WHERE status IN ('completed', 'failed', 'cancelled') AND coalesce(completed_at, updated_at) < $1
ORDER BY completed_at;

-- name: existing_jobs
SELECT id FROM jobs WHERE id = ANY ($1::uuid[]);

-- name: delete_jobs
-- Only jobs that are over. Events go by cascade. The notification names an event that will never come: readers who
-- look for it find the job gone, and end their streams.
WITH gone AS (
    DELETE FROM jobs
    WHERE id = ANY ($1::uuid[]) AND status IN ('completed', 'failed', 'cancelled')
    RETURNING id, event_seq
)
SELECT id, pg_notify('streamforge_events', id || ':' || event_seq + 1) FROM gone;


-- ── the event log ───────────────────────────────────────────────────────────────────────────────────────────────────

-- name: append_event
-- The event and what it changes, in one statement. See streamforge.events.log for why readers never miss one.
-- Progress never goes down, the stage never goes back (a report from an attempt that was already replaced may arrive
-- late), and a job that is over stays as it is: then no row comes out.
WITH changed AS (
    UPDATE jobs SET
        event_seq     = event_seq + 1,
        updated_at    = clock_timestamp(),
        stage         = CASE WHEN array_position($9 /* all stages in order */::text[], $2)
                                < array_position($9, stage) THEN stage ELSE $2 /* stage */ END,
        progress      = CASE WHEN $6 = 'completed' THEN 100 ELSE greatest(progress, $3::smallint /* progress */) END,
        status        = coalesce($6 /* status */, status),
        started_at    = CASE WHEN $6 = 'processing' THEN coalesce(started_at, clock_timestamp())
                             ELSE started_at END,
        completed_at  = CASE WHEN $6 IN ('completed', 'failed', 'cancelled') THEN clock_timestamp() END,
        error         = coalesce($7::jsonb /* error */, error),
        error_message = coalesce($7::jsonb ->> 'message', error_message),
        result        = coalesce($8::jsonb /* result */, result),
        source        = coalesce($10::jsonb, source),
        renditions    = coalesce($11::jsonb, renditions),
        playback      = coalesce($12::jsonb, playback)
    WHERE id = $1 AND status NOT IN ('completed', 'failed', 'cancelled')
    RETURNING id, event_seq, stage, progress
), logged AS (
    INSERT INTO progress_events (job_id, seq, event, stage, progress, message, details)
    SELECT id, event_seq, $4::text /* event */, stage, progress, $5::text /* message */, $13::jsonb /* details */ FROM changed
    RETURNING job_id, seq, event, stage, progress, message, details, created_at
)
SELECT logged.*, pg_notify('streamforge_events', job_id || ':' || seq) AS notified FROM logged;

-- name: lock_running_job
SELECT 1 FROM jobs WHERE id = $1 AND status NOT IN ('completed', 'failed', 'cancelled') FOR UPDATE;

-- name: record_part
-- What one part has done, and the sum over all parts of its stage; parts never go back. Needs the job row's lock: a
-- statement that had to wait for it would still see the other parts as they were before.
WITH recorded AS (
    INSERT INTO part_progress (job_id, stage, part, done) VALUES ($1, $2, $3, $4)
    ON CONFLICT (job_id, stage, part) DO UPDATE SET done = greatest(part_progress.done, excluded.done)
    RETURNING done
)
SELECT (SELECT done FROM recorded)
       + (SELECT coalesce(sum(done), 0) FROM part_progress WHERE job_id = $1 AND stage = $2 AND part <> $3) AS done;

-- name: events_after
SELECT job_id, seq, event, stage, progress, message, details, created_at
FROM progress_events
WHERE job_id = $1 AND seq > $2
ORDER BY seq
LIMIT $3;


-- ── housekeeping ────────────────────────────────────────────────────────────────────────────────────────────────────

-- name: ping
SELECT 1;

-- name: migrations_lock
-- Held until its connection closes. The number is arbitrary, and ours alone.
SELECT pg_advisory_lock(7883361208410627);

-- name: migrations_table
CREATE TABLE IF NOT EXISTS schema_migrations (
    name        text PRIMARY KEY,
    checksum    text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);

-- name: applied_migrations
SELECT name, checksum FROM schema_migrations ORDER BY name;

-- name: record_migration
INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2);
