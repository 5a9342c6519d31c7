-- Every query of StreamForge, by name; streamforge.db.queries reads this file once at import.
-- Parameters are numbered; what each one is stands beside its first use.


-- ── what one owner has: $1 is the owner, and nothing of others comes out or is changed ─────────────────────────────

-- name: create_job
-- The row and its first event in one statement. Idempotent: after a lost connection the caller cannot know whether it
-- was committed, and asks again.
WITH created AS (
    INSERT INTO jobs (owner, id, key, workflow_id, source_object, size_bytes, source_sha256, options, batch_id, stage,
                      progress, event_seq)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'uploading', $10 /* progress */, 1)
    ON CONFLICT (id) DO NOTHING
    RETURNING jobs AS job
), logged AS (
    SELECT log_event(job, 'progress', $11 /* message */, NULL, NULL) AS event FROM created
)
SELECT pg_notify('streamforge_events', notification(event)) FROM logged;

-- name: create_batch
WITH known AS (INSERT INTO owners (id) VALUES ($1) ON CONFLICT DO NOTHING)
INSERT INTO batches (owner, id, total) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: get_job
SELECT jobs.*, latest_events(id), queue_position(jobs), rendition_progress(jobs)
FROM jobs
WHERE owner = $1 AND id = $2;

-- name: jobs_by_id
SELECT jobs.*, latest_events(id), queue_position(jobs), rendition_progress(jobs)
FROM jobs
WHERE owner = $1 AND id = ANY ($2::uuid[]);

-- name: list_jobs
-- Newest first. Keyset pagination: a page begins after the last (created_at, id) of the one before, so that rows which
-- arrive in between neither repeat nor hide others.
SELECT jobs.*, latest_events(id), queue_position(jobs), rendition_progress(jobs)
FROM jobs
WHERE owner = $1
  AND ($2::timestamptz IS NULL /* created_at of the cursor */ OR (created_at, id) < ($2, $3::uuid))
  AND ($4::text IS NULL /* status */ OR status = $4)
ORDER BY created_at DESC, id DESC
LIMIT $5;

-- name: job_state
SELECT id, status, stage, progress, event_seq,
       coalesce((SELECT min(seq) - 1 FROM progress_events WHERE job_id = jobs.id), event_seq) AS swept_seq
FROM jobs WHERE owner = $1 AND id = $2;

-- name: batch_state
SELECT id AS batch_id, created_at, total, completed, failed, cancelled,
       (SELECT coalesce(jsonb_agg(job_summary(jobs) ORDER BY created_at, id), '[]') FROM jobs
        WHERE batch_id = batches.id) AS jobs,
       (SELECT coalesce(max(owner_seq), 0) FROM progress_events WHERE batch_id = batches.id) AS event_seq,
       (SELECT swept_seq FROM owners WHERE id = batches.owner) AS swept_seq
FROM batches WHERE owner = $1 AND id = $2;

-- name: owner_state
-- Its jobs that are not over, and where its log stands, in one look: both change in the same transactions.
SELECT event_seq, swept_seq,
       (SELECT coalesce(jsonb_agg(job_summary(jobs) ORDER BY created_at, id), '[]') FROM jobs
        WHERE owner = owners.id AND status IN ('pending', 'processing')) AS jobs
FROM owners WHERE id = $1;

-- name: request_cancel
-- Nothing when the job is over or gone. A second request keeps the time of the first.
UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
WHERE owner = $1 AND id = $2 AND status IN ('pending', 'processing')
RETURNING id;

-- name: job_events_after
SELECT * FROM progress_events
WHERE owner = $1 AND job_id = $2 AND seq > $3 AND ($4::timestamptz IS NULL /* since */ OR created_at >= $4)
ORDER BY seq
LIMIT $5;

-- name: owner_events_after
SELECT * FROM progress_events
WHERE owner = $1 AND owner_seq > $2
ORDER BY owner_seq
LIMIT $3;

-- name: batch_events_after
SELECT * FROM progress_events
WHERE owner = $1 AND batch_id = $2 AND owner_seq > $3
ORDER BY owner_seq
LIMIT $4;


-- ── jobs, whosever they are: for the service itself ───────────────────────────────────────────────────────────────────

-- name: job_status
SELECT status FROM jobs WHERE id = $1;

-- name: unlaunched_jobs
-- Jobs that Temporal has not taken yet, the most urgent first.
SELECT * FROM jobs
WHERE launched_at IS NULL AND status = 'pending' AND cancel_requested_at IS NULL
ORDER BY priority, created_at
LIMIT $1;

-- name: mark_launched
-- Answers with the status, for whoever cancelled the job while it was being started.
UPDATE jobs SET launched_at = coalesce(launched_at, clock_timestamp()) WHERE id = $1 RETURNING status;

-- name: mark_cancel_told
UPDATE jobs SET cancel_told_at = coalesce(cancel_told_at, clock_timestamp()) WHERE id = $1;

-- name: jobs_to_cancel
-- Cancels that Temporal was not told yet.
SELECT * FROM jobs
WHERE cancel_requested_at IS NOT NULL AND cancel_told_at IS NULL AND status IN ('pending', 'processing')
  AND ($1::timestamptz IS NULL OR (cancel_requested_at, id) > ($1, $2::uuid) /* the last one of the page before */)
ORDER BY cancel_requested_at, id
LIMIT $3;

-- name: launched_and_unfinished_jobs
-- In pages by id.
SELECT * FROM jobs
WHERE launched_at IS NOT NULL AND status IN ('pending', 'processing') AND ($1::uuid IS NULL OR id > $1)
ORDER BY id
LIMIT $2;

-- name: jobs_nobody_waits_for
-- Of these workflows: jobs that have been over for so long, and jobs that somebody has wanted to end for so long.
SELECT * FROM jobs
WHERE workflow_id = ANY ($1::text[]) AND coalesce(completed_at, cancel_requested_at) < clock_timestamp() - $2::interval;

-- name: past_moments
-- Of the jobs that completed last, some fifty events each, evenly spread: found by their numbers, however many there are.
WITH latest AS (
    SELECT id AS job, work_began_at, completed_at, event_seq FROM jobs
    WHERE status = 'completed' AND work_began_at IS NOT NULL
    ORDER BY completed_at DESC
    LIMIT $1
)
SELECT job, work_began_at, completed_at, stage, progress, created_at
FROM latest
CROSS JOIN LATERAL generate_series(1, event_seq, greatest(1, event_seq / 50)) AS number
JOIN progress_events ON job_id = job AND seq = number
WHERE created_at >= work_began_at AND created_at < completed_at
ORDER BY job, seq;

-- name: expired_jobs
SELECT id FROM jobs
WHERE status IN ('completed', 'failed', 'cancelled') AND coalesce(completed_at, updated_at) < $1
ORDER BY completed_at;

-- name: announce_arrivals
INSERT INTO arrivals (job_id) SELECT unnest($1::uuid[])
ON CONFLICT (job_id) DO UPDATE SET seen_at = excluded.seen_at;

-- name: existing_jobs
-- Those whose bytes are still coming exist, too.
SELECT id FROM jobs WHERE id = ANY ($1::uuid[])
UNION
SELECT job_id FROM arrivals WHERE job_id = ANY ($1::uuid[]) AND seen_at > $2;

-- name: delete_old_arrivals
DELETE FROM arrivals WHERE seen_at < $1;

-- name: delete_jobs
-- Only jobs that are over. Events go by cascade. The notification names an event that will never come: readers who
-- look for it find the job gone, and end their streams.
WITH gone AS (
    DELETE FROM jobs
    WHERE id = ANY ($1::uuid[]) AND status IN ('completed', 'failed', 'cancelled')
    RETURNING id, owner, event_seq
), swept AS (
    UPDATE owners SET swept_seq = greatest(swept_seq, latest.number)
    FROM (SELECT gone.owner, max(owner_seq) AS number FROM gone JOIN progress_events ON job_id = gone.id GROUP BY 1) AS latest
    WHERE owners.id = latest.owner
)
SELECT id, pg_notify('streamforge_events', id || ':' || event_seq + 1) FROM gone;

-- name: delete_empty_batches
DELETE FROM batches WHERE NOT EXISTS (SELECT FROM jobs WHERE batch_id = batches.id);


-- ── the event log ───────────────────────────────────────────────────────────────────────────────────────────────────

-- name: append_events
-- See migrations/functions.sql for what it does, and streamforge.events.log for why readers miss nothing.
SELECT * FROM append_events($1 /* changes */, $2 /* all stages in order */, $3 /* some may be there already */);

-- name: latest_numbers
-- How far the logs are that somebody follows, by what notifications call them.
SELECT 'job:' || id AS key, event_seq AS number FROM jobs WHERE id = ANY ($1::uuid[])
UNION ALL
SELECT 'owner:' || id, event_seq FROM owners WHERE id = ANY ($2::text[]);


-- ── housekeeping ────────────────────────────────────────────────────────────────────────────────────────────────────

-- name: installation
SELECT id FROM installation;

-- name: is_claimed
SELECT EXISTS (SELECT FROM claimed_folders WHERE url = $1) AS is_claimed;

-- name: remember_claim
INSERT INTO claimed_folders (url) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: ping
SELECT 1;

-- name: migrations_lock
-- Held until its connection closes. The number is arbitrary, and ours alone.
SELECT pg_advisory_lock(7883361208410627);

-- name: has_migrations_table
SELECT to_regclass('schema_migrations') IS NOT NULL;

-- name: migrations_table
CREATE TABLE schema_migrations (
    name        text PRIMARY KEY,
    checksum    text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);

-- name: applied_migrations
SELECT name, checksum FROM schema_migrations ORDER BY name;

-- name: record_migration
INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2);
