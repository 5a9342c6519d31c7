-- Every query of StreamForge, by name; streamforge.db.queries reads this file once at import.
-- Parameters are numbered; what each one is stands beside its first use.


-- ── what one owner has: $1 is the owner, and nothing of others comes out or is changed ─────────────────────────────
-- By row-level security too, as caller: see migrations/roles.sql. The queries ask for the owner all the same: it leads to the
-- index, and where PostgreSQL has no roles for us it is what there is. Null is for administrators, who see what is anybody's,
-- where an index leads to few rows without the owner.

-- name: create_job
-- The row and its first event in one statement. Idempotent: after a lost connection the caller cannot know whether it
-- was committed, and asks again.
WITH created AS (
    INSERT INTO jobs (owner, id, key, workflow_id, source_object, size_bytes, source_sha256, options, batch_id, origin,
                      stage, progress, event_seq)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'uploading', $11 /* progress */, 1)
    ON CONFLICT (id) DO NOTHING
    RETURNING jobs AS job
), logged AS (
    SELECT log_event(job, 'progress', $12 /* message */, NULL, NULL) AS event FROM created
)
SELECT pg_notify('streamforge_events', notification(event)) FROM logged;

-- name: create_external_job
-- Nobody of ours starts it or works on it: for those who look after such it is begun already.
WITH created AS (
    INSERT INTO jobs (owner, id, key, workflow_id, source_object, size_bytes, source_sha256, options, batch_id, origin,
                      stage, progress, event_seq, kind, silence, report_due_at, launched_at, work_began_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'uploading', 0, 1, 'external', $11::interval, clock_timestamp() + $11,
            clock_timestamp(), clock_timestamp())
    ON CONFLICT (id) DO NOTHING
    RETURNING jobs AS job
), logged AS (
    SELECT log_event(job, 'progress', $12 /* message */, NULL, NULL) AS event FROM created
)
SELECT pg_notify('streamforge_events', notification(event)) FROM logged;

-- name: create_batch
WITH known AS (INSERT INTO owners (id) VALUES ($1) ON CONFLICT DO NOTHING)
INSERT INTO batches (owner, id, total) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: get_job
-- What its row rules out is not asked for, here and below: to plan it under row-level security takes longer than to do it.
SELECT jobs.*, latest_events(id),
       CASE WHEN work_began_at IS NULL AND status IN ('pending', 'processing') THEN queue_position(jobs) END AS queue_position,
       CASE status WHEN 'processing' THEN rendition_progress(jobs) ELSE '{}' END AS rendition_progress
FROM jobs
WHERE ($1::text IS NULL OR owner = $1) AND id = $2;

-- name: jobs_by_id
SELECT jobs.*, latest_events(id),
       CASE WHEN work_began_at IS NULL AND status IN ('pending', 'processing') THEN queue_position(jobs) END AS queue_position,
       CASE status WHEN 'processing' THEN rendition_progress(jobs) ELSE '{}' END AS rendition_progress
FROM jobs
WHERE ($1::text IS NULL OR owner = $1) AND id = ANY ($2::uuid[]);

-- name: list_jobs
-- Newest first. Keyset pagination: a page begins after the last (created_at, id) of the one before, so that rows which
-- arrive in between neither repeat nor hide others. See find_jobs() in migrations/functions.sql for what may be in $2.
SELECT jobs.*, latest_events(id),
       CASE WHEN work_began_at IS NULL AND status IN ('pending', 'processing') THEN queue_position(jobs) END AS queue_position,
       CASE status WHEN 'processing' THEN rendition_progress(jobs) ELSE '{}' END AS rendition_progress
FROM find_jobs($1, $2, $3) AS jobs
ORDER BY created_at DESC, id DESC;

-- name: job_state
SELECT id, status, stage, progress, event_seq,
       coalesce((SELECT min(seq) - 1 FROM progress_events WHERE job_id = jobs.id), event_seq) AS swept_seq
FROM jobs WHERE ($1::text IS NULL OR owner = $1) AND id = $2;

-- name: batch_state
SELECT id AS batch_id, created_at, total, completed, failed, cancelled,
       (SELECT coalesce(jsonb_agg(job_summary(jobs) ORDER BY created_at, id), '[]') FROM jobs
        WHERE batch_id = batches.id) AS jobs,
       (SELECT coalesce(max(owner_seq), 0) FROM progress_events WHERE batch_id = batches.id) AS event_seq,
       (SELECT swept_seq FROM owners WHERE id = batches.owner) AS swept_seq
FROM batches WHERE ($1::text IS NULL OR owner = $1) AND id = $2;

-- name: owner_state
-- Its jobs that are not over, and where its log stands, in one look: both change in the same transactions.
SELECT event_seq, swept_seq,
       (SELECT coalesce(jsonb_agg(job_summary(jobs) ORDER BY created_at, id), '[]') FROM jobs
        WHERE owner = owners.id AND status IN ('uploading', 'pending', 'processing')) AS jobs
FROM owners WHERE id = $1;

-- name: request_cancel
-- Nothing when the job is over or gone. A second request keeps the time of the first.
UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
WHERE ($1::text IS NULL OR owner = $1) AND id = $2 AND status IN ('uploading', 'pending', 'processing')
RETURNING id;

-- name: request_purge
-- It goes with its media as soon as it is over; one that is not is cancelled. Nothing where it is held, or gone.
UPDATE jobs SET
    purge_requested_at  = coalesce(purge_requested_at, clock_timestamp()),
    cancel_requested_at = CASE WHEN status IN ('uploading', 'pending', 'processing')
                               THEN coalesce(cancel_requested_at, clock_timestamp()) ELSE cancel_requested_at END
WHERE ($1::text IS NULL OR owner = $1) AND id = $2 AND NOT legal_hold
RETURNING id;

-- name: change_job
-- $3: what changes of its options, null = nothing. $4: whether $5 is told. A change of the priority is for jobs that are not over.
UPDATE jobs SET
    options        = CASE WHEN $3::jsonb IS NULL THEN options ELSE options || $3 END,
    retain_until   = CASE WHEN $4::boolean THEN $5::timestamptz ELSE retain_until END,
    expiring_told_at = CASE WHEN $4 THEN NULL ELSE expiring_told_at END,
    legal_hold     = coalesce($6::boolean, legal_hold),
    control_number = control_number + (coalesce($3 ? 'priority', false) AND kind = 'video')::integer,
    updated_at     = clock_timestamp()
WHERE ($1::text IS NULL OR owner = $1) AND id = $2
  AND (NOT coalesce($3 ? 'priority', false) OR status IN ('uploading', 'pending', 'processing'))
RETURNING id;

-- name: set_paused
-- Nothing when the job is over, gone, or about to be cancelled. To pause it again keeps the time of the first.
UPDATE jobs SET
    paused_at      = CASE WHEN $3::boolean THEN coalesce(paused_at, clock_timestamp()) END,
    control_number = control_number + ((paused_at IS NOT NULL) <> $3)::integer,
    updated_at     = clock_timestamp()
WHERE ($1::text IS NULL OR owner = $1) AND id = $2 AND status IN ('uploading', 'pending', 'processing') AND cancel_requested_at IS NULL
RETURNING id;

-- name: list_chunks
-- Those behind number $3, some $4 of them, with all their parts.
SELECT job_chunks.* FROM job_chunks JOIN jobs ON jobs.id = job_id
WHERE ($1::text IS NULL OR owner = $1) AND job_id = $2 AND chunk > $3 AND chunk <= $3::bigint + $4
ORDER BY chunk, part;

-- name: chunk_counts
SELECT count(*) AS total, count(*) FILTER (WHERE encoded > 0 AND encoded >= wanted) AS done
FROM (SELECT coalesce(sum(cardinality(job_chunks.renditions)) FILTER (WHERE state = 'done'), 0) AS encoded,
             CASE jsonb_typeof(jobs.renditions) WHEN 'array' THEN jsonb_array_length(jobs.renditions) ELSE 1 END AS wanted
      FROM job_chunks JOIN jobs ON jobs.id = job_id
      WHERE ($1::text IS NULL OR owner = $1) AND job_id = $2
      GROUP BY chunk, jobs.renditions) AS each_chunk;

-- name: job_events_after
SELECT * FROM progress_events
WHERE ($1::text IS NULL OR owner = $1) AND job_id = $2 AND seq > $3 AND ($4::timestamptz IS NULL /* since */ OR created_at >= $4)
ORDER BY seq
LIMIT $5;

-- name: owner_events_after
SELECT * FROM progress_events
WHERE owner = $1 AND owner_seq > $2
ORDER BY owner_seq
LIMIT $3;

-- name: batch_events_after
SELECT * FROM progress_events
WHERE ($1::text IS NULL OR owner = $1) AND batch_id = $2 AND owner_seq > $3
ORDER BY owner_seq
LIMIT $4;

-- name: create_uploading_job
-- A job whose bytes are still to come: `create_job` in a status that nobody starts.
WITH created AS (
    INSERT INTO jobs (owner, id, key, workflow_id, source_object, size_bytes, source_sha256, options, batch_id, origin,
                      status, stage, progress, event_seq)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'uploading', 'uploading', $11 /* progress */, 1)
    ON CONFLICT (id) DO NOTHING
    RETURNING jobs AS job
), logged AS (
    SELECT log_event(job, 'progress', $12 /* message */, NULL, NULL) AS event FROM created
)
SELECT pg_notify('streamforge_events', notification(event)) FROM logged;

-- name: create_fetched_job
-- `create_job` of a video that is still to be fetched; together with create_fetch in one transaction. $13: where it is, as it
-- may be shown.
WITH created AS (
    INSERT INTO jobs (owner, id, key, workflow_id, source_object, size_bytes, source_sha256, options, batch_id, origin,
                      stage, progress, event_seq, source_url)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'uploading', $11 /* progress */, 1, $13)
    ON CONFLICT (id) DO NOTHING
    RETURNING jobs AS job
), logged AS (
    SELECT log_event(job, 'progress', $12 /* message */, NULL, NULL) AS event FROM created
)
SELECT pg_notify('streamforge_events', notification(event)) FROM logged;

-- name: create_fetch
INSERT INTO fetches (job_id, url) SELECT id, $3 FROM jobs WHERE owner = $1 AND id = $2 ON CONFLICT DO NOTHING;

-- name: create_upload
WITH known AS (INSERT INTO owners (id) VALUES ($1) ON CONFLICT DO NOTHING)
INSERT INTO uploads (owner, id, job_id, length, made_of, metadata, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::interval)
ON CONFLICT (id) DO NOTHING;

-- name: get_upload
SELECT uploads.*, jobs.status AS job_status, jobs.error_message AS job_error, jobs.launched_at IS NOT NULL AS job_has_begun,
       expires_at < clock_timestamp() AS has_expired
FROM uploads LEFT JOIN jobs ON jobs.id = job_id
WHERE ($1::text IS NULL OR uploads.owner = $1) AND uploads.id = $2;


-- ── POSTs that name themselves: $1 is the owner ───────────────────────────────────────────────────────────────────

-- name: begin_idempotent
-- Nothing where somebody works on it, or it was answered within a day. One whose process died is taken over.
INSERT INTO idempotency_keys AS known (owner, key, action, token, lease_until)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval /* how long a lease is */)
ON CONFLICT (owner, key) DO UPDATE SET
    token       = excluded.token,
    lease_until = excluded.lease_until,
    action      = excluded.action,
    made_id     = CASE WHEN known.status IS NULL AND known.action = excluded.action THEN known.made_id ELSE gen_random_uuid() END,
    created_at  = clock_timestamp(),
    fingerprint = NULL, size_bytes = NULL, status = NULL, headers = NULL, body = NULL
WHERE known.created_at < clock_timestamp() - interval '1 day' OR (known.status IS NULL AND known.lease_until < clock_timestamp())
RETURNING made_id;

-- name: idempotent_answer
SELECT action, fingerprint, size_bytes, status, headers, body FROM idempotency_keys WHERE owner = $1 AND key = $2;

-- name: renew_idempotent
UPDATE idempotency_keys SET lease_until = clock_timestamp() + $4::interval
WHERE owner = $1 AND key = $2 AND token = $3 AND status IS NULL
RETURNING key;

-- name: end_idempotent
UPDATE idempotency_keys SET fingerprint = $4, size_bytes = $5, status = $6, headers = $7, body = $8
WHERE owner = $1 AND key = $2 AND token = $3
RETURNING key;

-- name: release_idempotent
DELETE FROM idempotency_keys WHERE owner = $1 AND key = $2 AND token = $3 AND status IS NULL RETURNING key;

-- name: delete_old_idempotent
DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - interval '1 day';


-- ── the queue and workers ─────────────────────────────────────────────────────────────────────────────────────────────────

-- name: queue_counts
-- Jobs of $1 (null = of all) that are not over.
SELECT status, stage, priority, count(*) AS jobs, count(*) FILTER (WHERE work_began_at IS NULL) AS waiting,
       count(*) FILTER (WHERE paused_at IS NOT NULL) AS paused, min(created_at) FILTER (WHERE work_began_at IS NULL) AS oldest
FROM jobs
WHERE ($1::text IS NULL OR owner = $1) AND status IN ('pending', 'processing') AND kind = 'video'
GROUP BY status, stage, priority;

-- name: queue_pace
-- What ended within the last hour, and how long a worker was at the last hundred that completed, in seconds.
SELECT count(*) FILTER (WHERE status = 'completed') AS completed, count(*) FILTER (WHERE status = 'failed') AS failed,
       (SELECT avg(seconds) FROM (
           SELECT extract(epoch FROM completed_at - work_began_at)::double precision AS seconds FROM jobs
           WHERE ($1::text IS NULL OR owner = $1) AND status = 'completed' AND completed_at IS NOT NULL AND work_began_at IS NOT NULL
             AND kind = 'video'
           ORDER BY completed_at DESC LIMIT 100) AS latest) AS seconds_each
FROM jobs
WHERE ($1::text IS NULL OR owner = $1) AND completed_at > clock_timestamp() - interval '1 hour' AND kind = 'video';

-- name: workers
-- Those who were seen within $1.
SELECT * FROM workers WHERE seen_at > clock_timestamp() - $1::interval ORDER BY host, id;

-- name: drain_worker
UPDATE workers SET drain_requested_at = coalesce(drain_requested_at, clock_timestamp())
WHERE id = $1 AND seen_at > clock_timestamp() - $2::interval
RETURNING *;


-- ── jobs, whosever they are: for the service itself ───────────────────────────────────────────────────────────────────

-- name: unfinished_jobs
SELECT status, stage, count(*) AS jobs FROM jobs WHERE status IN ('pending', 'processing') GROUP BY status, stage;

-- name: queue
SELECT count(*) AS jobs, min(created_at) AS oldest
FROM jobs WHERE work_began_at IS NULL AND status IN ('pending', 'processing');

-- name: job_status
SELECT status FROM jobs WHERE id = $1;

-- name: film
-- What those who watch a job's stream are served by, whosever it is.
SELECT key, options ->> 'profile' AS profile, options ->> 'playback' AS playback FROM jobs WHERE id = $1;

-- name: unlaunched_jobs
-- Jobs that Temporal has not taken yet: the most urgent first, and of the same priority each owner in their turn, the oldest of
-- each first. Costs a look at the index for each owner who waits, and one for each job of the page, however many there are.
-- One that is processing comes from a backup.
WITH RECURSIVE owed AS NOT MATERIALIZED (
    SELECT * FROM jobs
    WHERE launched_at IS NULL AND status IN ('pending', 'processing') AND cancel_requested_at IS NULL AND paused_at IS NULL
), waiting AS (
    (SELECT priority, owner FROM owed ORDER BY priority, owner LIMIT 1)
    UNION ALL
    SELECT following.* FROM waiting, LATERAL (
        SELECT priority, owner FROM owed WHERE (owed.priority, owed.owner) > (waiting.priority, waiting.owner)
        ORDER BY priority, owner LIMIT 1
    ) AS following
), turns AS (
    SELECT first.id, first.priority, first.created_at, first.turn FROM waiting, LATERAL (
        SELECT id, priority, created_at, row_number() OVER (ORDER BY created_at, id) AS turn FROM owed
        WHERE owed.priority = waiting.priority AND owed.owner = waiting.owner ORDER BY created_at, id LIMIT $1
    ) AS first
    ORDER BY priority, turn, created_at LIMIT $1
)
-- One by one: a plan that is made once for any length of page would read all jobs for it.
SELECT job.* FROM turns, LATERAL (SELECT * FROM jobs WHERE jobs.id = turns.id LIMIT 1) AS job
ORDER BY turns.priority, turns.turn, turns.created_at;

-- name: mark_launched
-- Answers with the status, for whoever cancelled the job while it was being started.
UPDATE jobs SET launched_at = coalesce(launched_at, clock_timestamp()) WHERE id = $1 RETURNING status;

-- name: mark_cancel_told
UPDATE jobs SET cancel_told_at = coalesce(cancel_told_at, clock_timestamp()) WHERE id = $1;

-- name: retry_job
-- Nothing where it is not failed, or is to go. $2: how far it is; $3 the event that says so. Of its batch it is counted again.
WITH anew AS (
    UPDATE jobs SET
        status = 'pending', stage = 'uploading', progress = $2, event_seq = event_seq + 1, retries = retries + 1,
        workflow_id = regexp_replace(workflow_id, '-retry-[0-9]+$', '') || '-retry-' || retries + 1,
        error = NULL, error_message = NULL, result = NULL, playback = NULL, renditions = NULL,
        launched_at = NULL, started_at = NULL, work_began_at = NULL, completed_at = NULL, paused_at = NULL,
        cancel_requested_at = NULL, cancel_told_at = NULL, control_told = control_number, parts_kept_at = NULL,
        moved_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = $1 AND status = 'failed' AND purge_requested_at IS NULL
    RETURNING jobs AS job
), forgotten AS (
    DELETE FROM part_progress WHERE job_id IN (SELECT (job).id FROM anew)
), counted AS (
    UPDATE batches SET failed = failed - 1 WHERE id IN (SELECT (job).batch_id FROM anew) RETURNING id
), logged AS (
    -- The batch before the owner, as whoever writes events locks them.
    SELECT log_event(job, 'progress', $3, NULL, NULL) AS event FROM anew WHERE (SELECT count(*) FROM counted) >= 0
)
SELECT (event).job_id AS id, pg_notify('streamforge_events', notification(event)) FROM logged;

-- name: mark_parts_kept
UPDATE jobs SET parts_kept_at = clock_timestamp() WHERE id = $1 AND status = 'failed';

-- name: jobs_with_parts_kept_before
SELECT id FROM jobs WHERE parts_kept_at < $1 AND status = 'failed' ORDER BY parts_kept_at;

-- name: forget_kept_parts
UPDATE jobs SET parts_kept_at = NULL WHERE id = $1;

-- name: jobs_to_purge
-- Those that are over first: they can go now, however many others are still to be cancelled.
SELECT * FROM jobs WHERE purge_requested_at IS NOT NULL AND NOT legal_hold
ORDER BY status IN ('completed', 'failed', 'cancelled') DESC, purge_requested_at, id
LIMIT $1;

-- name: jobs_to_control
-- Changes that a workflow was not told yet; one that is not started yet begins with them.
SELECT * FROM jobs
WHERE control_told < control_number AND status IN ('pending', 'processing') AND launched_at IS NOT NULL
  AND ($1::uuid IS NULL OR id > $1 /* the last one of the page before */)
ORDER BY id
LIMIT $2;

-- name: mark_control_told
UPDATE jobs SET control_told = greatest(control_told, $2) WHERE id = $1;

-- name: is_paused
SELECT paused_at IS NOT NULL AS is_paused FROM jobs WHERE id = $1;

-- name: is_held
SELECT legal_hold AS is_held FROM jobs WHERE id = $1;

-- name: jobs_to_cancel
-- Cancels that Temporal was not told yet.
SELECT * FROM jobs
WHERE cancel_requested_at IS NOT NULL AND cancel_told_at IS NULL AND status IN ('uploading', 'pending', 'processing')
  AND ($1::timestamptz IS NULL OR (cancel_requested_at, id) > ($1, $2::uuid) /* the last one of the page before */)
ORDER BY cancel_requested_at, id
LIMIT $3;

-- name: launched_and_unfinished_jobs
-- In pages by id.
SELECT * FROM jobs
WHERE launched_at IS NOT NULL AND status IN ('pending', 'processing') AND kind = 'video' AND ($1::uuid IS NULL OR id > $1)
ORDER BY id
LIMIT $2;

-- name: jobs_nobody_waits_for
-- Of these workflows: jobs that have been over for so long, and jobs that somebody has wanted to end for so long.
SELECT * FROM jobs
WHERE workflow_id = ANY ($1::text[]) AND coalesce(completed_at, cancel_requested_at) < clock_timestamp() - $2::interval;

-- name: known_workflows
SELECT workflow_id FROM jobs WHERE workflow_id = ANY ($1::text[]);

-- name: plan_chunks
-- $2, $3: where each begins and ends. What is left of another plan goes.
WITH gone AS (DELETE FROM job_chunks WHERE job_id = $1 AND (part <> '' OR chunk >= cardinality($2::double precision[])))
INSERT INTO job_chunks (job_id, chunk, part, starts_at, ends_at)
SELECT jobs.id, planned.number - 1, '', planned.starts_at, planned.ends_at
FROM jobs, unnest($2::double precision[], $3::double precision[]) WITH ORDINALITY AS planned (starts_at, ends_at, number)
WHERE jobs.id = $1
ON CONFLICT (job_id, chunk, part) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at;

-- name: begin_chunk
INSERT INTO job_chunks (job_id, chunk, part, starts_at, ends_at, renditions, state, attempts, worker, began_at)
SELECT id, $2, $3::text, $4::double precision, $5::double precision, $6::text[], 'running', $7, $8, clock_timestamp()
FROM jobs WHERE id = $1
ON CONFLICT (job_id, chunk, part) DO UPDATE SET
    renditions = excluded.renditions, state = excluded.state, attempts = greatest(job_chunks.attempts, excluded.attempts),
    worker = excluded.worker, began_at = excluded.began_at, ended_at = NULL;

-- name: end_chunk
UPDATE job_chunks SET state = 'done', ended_at = clock_timestamp(), frames = $4, size_bytes = $5, vmaf = coalesce($6, vmaf), segments = $7
WHERE job_id = $1 AND chunk = $2 AND part = $3;

-- name: past_moments
-- Of the jobs that completed last, some fifty events each, evenly spread: found by their numbers, however many there are.
WITH latest AS (
    SELECT id AS job, work_began_at, completed_at, event_seq FROM jobs
    WHERE status = 'completed' AND work_began_at IS NOT NULL AND kind = 'video'
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
WHERE status IN ('completed', 'failed', 'cancelled') AND NOT legal_hold
  AND CASE WHEN retain_until IS NULL THEN coalesce(completed_at, updated_at) < $1 ELSE retain_until < clock_timestamp() END
ORDER BY completed_at;

-- name: originals_past_their_time
-- Of jobs that stay; one that is to be kept until a moment is kept whole.
SELECT id FROM jobs
WHERE status IN ('completed', 'failed', 'cancelled') AND NOT legal_hold AND retain_until IS NULL
  AND original_removed_at IS NULL AND coalesce(completed_at, updated_at) < $1
ORDER BY completed_at;

-- name: outputs_past_their_time
SELECT id FROM jobs
WHERE status = 'completed' AND NOT legal_hold AND retain_until IS NULL
  AND output_removed_at IS NULL AND coalesce(completed_at, updated_at) < $1
ORDER BY completed_at;

-- name: mark_original_removed
UPDATE jobs SET original_removed_at = clock_timestamp() WHERE id = $1;

-- name: mark_output_removed
UPDATE jobs SET output_removed_at = clock_timestamp(), playback = NULL WHERE id = $1;

-- name: expiring_jobs
-- Completed ones that go within $2 where they are kept for $1, and were not told of.
SELECT id FROM jobs
WHERE status = 'completed' AND NOT legal_hold AND expiring_told_at IS NULL AND purge_requested_at IS NULL
  AND coalesce(retain_until, coalesce(completed_at, updated_at) + $1::interval) < clock_timestamp() + $2::interval
ORDER BY completed_at;

-- name: tell_expiring
-- An event of a job that is over: it changes nothing of it.
WITH told AS (
    UPDATE jobs SET event_seq = event_seq + 1, expiring_told_at = clock_timestamp()
    WHERE id = $1 AND status = 'completed' AND NOT legal_hold AND expiring_told_at IS NULL
    RETURNING jobs AS job, coalesce(retain_until, coalesce(completed_at, updated_at) + $2::interval) AS expires_at
), logged AS (
    SELECT log_event(job, 'asset_expiring', $3 /* message */,
                     jsonb_build_object('expires_at', to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
                     NULL) AS event
    FROM told
)
SELECT (event).job_id AS id, pg_notify('streamforge_events', notification(event)) FROM logged;

-- name: announce_arrivals
INSERT INTO arrivals (job_id) SELECT unnest($1::uuid[])
ON CONFLICT (job_id) DO UPDATE SET seen_at = excluded.seen_at;

-- name: existing_jobs
-- Those whose bytes are still coming exist, too.
SELECT id FROM jobs WHERE id = ANY ($1::uuid[])
UNION
SELECT job_id FROM arrivals WHERE job_id = ANY ($1::uuid[]) AND seen_at > $2
UNION
SELECT id FROM uploads WHERE id = ANY ($1::uuid[]);

-- name: delete_old_arrivals
DELETE FROM arrivals WHERE seen_at < $1;

-- name: delete_jobs
-- Only jobs that are over. Events go by cascade. The notification names an event that will never come: readers who
-- look for it find the job gone, and end their streams.
WITH gone AS (
    DELETE FROM jobs
    WHERE id = ANY ($1::uuid[]) AND status IN ('completed', 'failed', 'cancelled') AND NOT legal_hold
    RETURNING id, owner, event_seq
), swept AS (
    UPDATE owners SET swept_seq = greatest(swept_seq, latest.number)
    FROM (SELECT gone.owner, max(owner_seq) AS number FROM gone JOIN progress_events ON job_id = gone.id GROUP BY 1) AS latest
    WHERE owners.id = latest.owner
)
SELECT id, pg_notify('streamforge_events', id || ':' || event_seq + 1) FROM gone;

-- name: delete_empty_batches
DELETE FROM batches WHERE NOT EXISTS (SELECT FROM jobs WHERE batch_id = batches.id);


-- ── uploads, whosever they are ────────────────────────────────────────────────────────────────────────────────────────

-- name: record_received
-- Nothing when another one has written since: $2 is what it was before.
WITH recorded AS (
    UPDATE uploads SET received = $3, length = coalesce(length, $4), expires_at = clock_timestamp() + $5::interval
    WHERE id = $1 AND received = $2
    RETURNING id, job_id, coalesce(length, received) AS size_bytes
), sized AS (
    UPDATE jobs SET size_bytes = recorded.size_bytes FROM recorded
    WHERE jobs.id = recorded.job_id AND status = 'uploading' AND jobs.size_bytes <> recorded.size_bytes
)
SELECT id FROM recorded;

-- name: describe_original
-- Its bytes have come. The job is as old as its last byte: it waits from now on.
UPDATE jobs SET size_bytes = $2, source_sha256 = $3, created_at = clock_timestamp(), moved_at = clock_timestamp()
WHERE id = $1 AND status = 'uploading'
RETURNING id;

-- name: expired_uploads
SELECT uploads.*, jobs.status AS job_status, jobs.error_message AS job_error, jobs.launched_at IS NOT NULL AS job_has_begun,
       true AS has_expired
FROM uploads LEFT JOIN jobs ON jobs.id = job_id
WHERE expires_at < clock_timestamp() AND (job_id IS NULL OR status = 'uploading')
ORDER BY expires_at
LIMIT $1;

-- name: end_part
-- What came of it today counts all the same.
WITH gone AS (
    DELETE FROM uploads WHERE id = $1 RETURNING owner, created_at, received
)
SELECT keep_bytes(owner, created_at, received) FROM gone;

-- name: delete_uploads
-- Parts that were put together: their job has their bytes.
DELETE FROM uploads WHERE id = ANY ($1::uuid[]);

-- name: ask_for_upload
SELECT pg_notify('streamforge_uploads', $1::text);

-- name: try_lock
-- Held by the connection until it is given back, or the process is gone.
SELECT pg_try_advisory_lock($1) AS granted;

-- name: unlock
SELECT pg_advisory_unlock($1);


-- ── videos that are fetched, whosever they are ────────────────────────────────────────────────────────────────────────

-- name: get_fetch
SELECT fetches.*, owner, size_bytes, source_sha256 FROM fetches JOIN jobs ON jobs.id = job_id WHERE job_id = $1;

-- name: record_fetched
-- Nothing when another attempt has written since: $2 is what it was before. What is to come counts for its owner's day, too.
WITH recorded AS (
    UPDATE fetches SET received = $3, length = $4, validator = $5
    WHERE job_id = $1 AND received = $2 AND url IS NOT NULL
    RETURNING job_id, greatest(length, received) AS size_bytes
), sized AS (
    UPDATE jobs SET size_bytes = recorded.size_bytes FROM recorded
    WHERE jobs.id = recorded.job_id AND jobs.size_bytes <> recorded.size_bytes
)
SELECT job_id FROM recorded;

-- name: end_fetch
-- The original is in the store; from where it came nobody has to know any more.
WITH ended AS (
    UPDATE fetches SET url = NULL, validator = NULL WHERE job_id = $1 RETURNING job_id
)
UPDATE jobs SET size_bytes = $2, source_sha256 = $3 FROM ended WHERE jobs.id = ended.job_id;

-- name: give_up_fetch
-- What had come is deleted; of one that has ended, nothing changes. It counts for its owner's day all the same; what has not come does not.
WITH before AS (
    SELECT job_id, received FROM fetches WHERE job_id = $1 AND url IS NOT NULL FOR UPDATE
), given_up AS (
    UPDATE fetches SET received = 0, length = NULL, validator = NULL WHERE job_id IN (SELECT job_id FROM before)
), sized AS (
    UPDATE jobs SET size_bytes = 0 FROM before WHERE jobs.id = before.job_id RETURNING owner, received
)
SELECT keep_bytes(owner, now(), received) FROM sized;


-- ── the event log ───────────────────────────────────────────────────────────────────────────────────────────────────

-- name: admit_film
SELECT admit_film($1 /* job */, $2 /* seconds of film */, $3 /* that its owner may have in a month */) AS so_far;

-- name: append_events
-- See migrations/functions.sql for what it does, and streamforge.events.log for why readers miss nothing.
SELECT * FROM append_events($1 /* changes */, $2 /* all stages in order */, $3 /* some may be there already */);

-- name: record_report
SELECT outcome, (event).* FROM record_report($1 /* job */, $2 /* token */, $3, $4 /* the report */, $5 /* change */, $6 /* all stages in order */);

-- name: silent_jobs
SELECT id, silence FROM jobs WHERE report_due_at < clock_timestamp() AND status IN ('pending', 'processing')
ORDER BY report_due_at LIMIT $1;

-- name: end_silent_job
SELECT * FROM end_silent_job($1, $2 /* change */, $3 /* all stages in order */);

-- name: begin_sink
WITH begun AS (INSERT INTO sinks (name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING name)
INSERT INTO sink_positions (sink, owner, seq) SELECT name, id, event_seq FROM begun, owners WHERE event_seq > 0
ON CONFLICT DO NOTHING;

-- name: owners_behind
-- By what owners have counted, not by their logs.
SELECT id FROM owners LEFT JOIN sink_positions ON sink = $1 AND owner = id WHERE event_seq > coalesce(seq, 0);

-- name: sink_position
SELECT seq FROM sink_positions WHERE sink = $1 AND owner = $2;

-- name: move_sink
INSERT INTO sink_positions (sink, owner, seq) VALUES ($1, $2, $3)
ON CONFLICT (sink, owner) DO UPDATE SET seq = greatest(sink_positions.seq, excluded.seq);

-- name: latest_numbers
-- How far the logs are that somebody follows, by what notifications call them.
SELECT 'job:' || id AS key, event_seq AS number FROM jobs WHERE id = ANY ($1::uuid[])
UNION ALL
SELECT 'owner:' || id, event_seq FROM owners WHERE id = ANY ($2::text[]);


-- ── who may ask ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- name: create_api_key
INSERT INTO api_keys (prefix, hash, owner, scopes, expires_at) VALUES ($1, $2, $3, $4, $5);

-- name: api_keys_named
SELECT prefix, hash, owner, scopes, created_at, expires_at, last_used_at, revoked_at
FROM api_keys WHERE prefix = ANY ($1::text[]);

-- name: api_keys
SELECT prefix, hash, owner, scopes, created_at, expires_at, last_used_at, revoked_at
FROM api_keys ORDER BY created_at, prefix;

-- name: revoke_api_key
-- A second time keeps the first time, and is told again: who has missed it hears of it.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE prefix = $1
RETURNING pg_notify('streamforge_callers', 'key:' || prefix);

-- name: record_uses
UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)
FROM unnest($1::text[] /* prefixes */, $2::timestamptz[]) AS used (prefix, at)
WHERE api_keys.prefix = used.prefix;

-- name: create_session
WITH over AS (DELETE FROM sessions WHERE expires_at < now())
INSERT INTO sessions (id, owner, scopes, credential, prefix, expires_at) VALUES ($1, $2, $3, $4, $5, $6);

-- name: sessions_named
SELECT id, owner, scopes, credential, prefix, expires_at FROM sessions WHERE id = ANY ($1::text[]);

-- name: end_session
DELETE FROM sessions WHERE id = $1 RETURNING pg_notify('streamforge_callers', 'session:' || id);


-- ── the audit log ───────────────────────────────────────────────────────────────────────────────────────────────────

-- name: record_audit
-- Whose the job or the batch is, is looked up here: of what is `only_of_others` nothing is written unless it is.
WITH told AS (
    SELECT entry.*, coalesce(entry.target_owner, jobs.owner, batches.owner) AS whose
    FROM jsonb_to_recordset($1) AS entry (
        first_at timestamptz, last_at timestamptz, count integer, owner text, credential text, action text, target text,
        target_owner text, outcome text, code text, address text, request_id text,
        job_id uuid, batch_id uuid, only_of_others boolean)
    LEFT JOIN jobs ON jobs.id = entry.job_id
    LEFT JOIN batches ON batches.id = entry.batch_id
)
INSERT INTO audit_log (first_at, last_at, count, owner, credential, action, target, target_owner, outcome, code, address,
                       request_id)
SELECT first_at, last_at, count, owner, credential, action, target, whose, outcome, code, address, request_id
FROM told WHERE NOT only_of_others OR whose <> owner
ORDER BY first_at
RETURNING *;

-- name: list_audit
SELECT * FROM audit_log
WHERE ($1::bigint IS NULL /* the last id of the page before */ OR id < $1)
  AND ($2::text IS NULL OR owner = $2)
  AND ($3::text IS NULL OR target = $3)
  AND ($4::text IS NULL OR target_owner = $4)
  AND ($5::text IS NULL OR action = $5)
  AND ($6::text IS NULL OR outcome = $6)
  AND ($7::timestamptz IS NULL OR last_at >= $7)
  AND ($8::timestamptz IS NULL OR first_at < $8)
ORDER BY id DESC
LIMIT $9;

-- name: delete_old_audit
-- What is younger than a day is kept by a trigger, too.
WITH gone AS (
    DELETE FROM audit_log WHERE recorded_at < least($1, clock_timestamp() - interval '1 day') RETURNING recorded_at
)
SELECT count(*) AS deleted FROM gone;


-- ── housekeeping ────────────────────────────────────────────────────────────────────────────────────────────────────

-- name: beat
-- A worker tells of itself, and hears whether it is to stop. One that starts anew under an old name is not.
INSERT INTO workers (id, host, version, about, started_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET
    host = excluded.host, version = excluded.version, about = excluded.about, started_at = excluded.started_at,
    seen_at = clock_timestamp(),
    drain_requested_at = CASE WHEN workers.started_at = excluded.started_at THEN workers.drain_requested_at END
RETURNING drain_requested_at IS NOT NULL AS is_to_drain;

-- name: forget_worker
-- It stops; and whoever was not seen for a day.
DELETE FROM workers WHERE id = $1 OR seen_at < clock_timestamp() - interval '1 day';

-- name: installation
SELECT id FROM installation;

-- name: is_claimed
SELECT EXISTS (SELECT FROM claimed_folders WHERE url = $1) AS is_claimed;

-- name: remember_claim
INSERT INTO claimed_folders (url) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: may_remove
-- Workers share it, each for as long as it removes something; a backup has it alone. The number is arbitrary, and ours alone.
SELECT pg_try_advisory_xact_lock_shared(7883361208410628) AS granted;

-- name: hold_removals
SELECT pg_try_advisory_xact_lock(7883361208410628) AS granted;

-- name: see_one_moment
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: export_snapshot
SELECT pg_export_snapshot() AS id;

-- name: all_jobs
SELECT id, status IN ('completed', 'failed', 'cancelled') AS is_over FROM jobs;

-- name: roles_of_the_schema
-- Whoever is named in a right or in a policy; owners are whoever restores it.
SELECT rolname AS name, rolbypassrls AS bypasses_rls, pg_has_role(session_user, oid, 'MEMBER') AS is_ours
FROM pg_roles
WHERE oid IN (SELECT refobjid FROM pg_shdepend
              WHERE refclassid = 'pg_authid'::regclass AND deptype IN ('a', 'r')
                AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND rolname NOT LIKE 'pg\_%' AND rolname <> session_user
ORDER BY rolname;

-- name: has_tables
SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')) AS found;

-- name: statements_for_a_role
-- $1 its name, $2 whether it bypasses row-level security, $3 whether who asks may act as it.
SELECT format('CREATE ROLE %I NOLOGIN %s', $1::text, CASE WHEN $2::boolean THEN 'BYPASSRLS' END) AS statement
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)
UNION ALL
SELECT format('GRANT %I TO CURRENT_USER', $1) WHERE $3::boolean;

-- name: owe_starts
-- $1: what the ids of their workflows end with from now on, null = they stay as they are. A cancel is owed again, too. Who
-- reports from outside had nobody to report to.
UPDATE jobs SET
    launched_at    = CASE WHEN kind = 'video' AND cancel_requested_at IS NULL THEN NULL ELSE launched_at END,
    cancel_told_at = NULL,
    report_due_at  = clock_timestamp() + silence,
    workflow_id    = CASE WHEN $1::text IS NULL OR kind = 'external' THEN workflow_id
                          ELSE regexp_replace(workflow_id, '-restored-[0-9TZ]+$', '') || $1 END
WHERE status IN ('pending', 'processing');

-- name: ping
SELECT 1;

-- name: isolation
-- What is missing for the roles $1 (callers' first) to be in force.
SELECT session_user::text AS login,
       ARRAY(SELECT name FROM unnest($1::text[]) AS name WHERE to_regrole(quote_ident(name)) IS NULL) AS missing,
       ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1) AND NOT
             CASE WHEN current_setting('server_version_num')::integer < 160000 THEN pg_has_role(session_user, oid, 'MEMBER')
                  ELSE pg_has_role(session_user, oid, 'SET') END) AS closed,
       ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1) AND
             (rolsuper OR rolbypassrls OR EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('jobs')
                                                  AND pg_has_role(pg_roles.oid, relowner, 'USAGE')))) AS mighty,
       -- Of tables that a caller has rights to, which row-level security does not hold; and jobs, when nobody has any.
       ARRAY(SELECT relname::text FROM pg_class
             WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
             AND to_regrole(quote_ident($1[1])) IS NOT NULL
             AND (relname = 'jobs' OR has_any_column_privilege(to_regrole(quote_ident($1[1]))::oid, pg_class.oid,
                                                               'SELECT, INSERT, UPDATE'))
             AND NOT (relrowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid
                                                 AND to_regrole(quote_ident($1[1]))::oid = ANY (polroles)))) AS open;

-- name: schema_of_our_tables
SELECT current_schema()::text;

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

-- name: usage
-- What an owner has in hand, has sent since midnight (UTC), and has had processed since the month began.
SELECT count(*) FILTER (WHERE status IN ('uploading', 'pending', 'processing')) AS unfinished_jobs,
       coalesce(sum(size_bytes) FILTER (WHERE created_at >= midnight), 0)::bigint
       -- Parts of uploads are no job's yet.
       + (SELECT coalesce(sum(greatest(length, received)), 0)::bigint FROM uploads
          WHERE owner = $1 AND job_id IS NULL AND created_at >= midnight)
       + coalesce((SELECT bytes FROM deleted_bytes WHERE owner = $1 AND day = (midnight AT TIME ZONE 'UTC')::date), 0) AS bytes_today,
       extract(epoch FROM midnight + interval '1 day' - now())::float AS seconds_left,
       coalesce((SELECT seconds FROM months_of_film WHERE owner = $1 AND month = this_month), 0)::float AS film_seconds,
       extract(epoch FROM (this_month + interval '1 month') AT TIME ZONE 'UTC' - now())::float AS month_seconds_left
FROM (SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS midnight,
             date_trunc('month', now() AT TIME ZONE 'UTC')::date AS this_month) AS today
LEFT JOIN jobs ON owner = $1 AND (status IN ('uploading', 'pending', 'processing') OR created_at >= midnight)
GROUP BY midnight, this_month;

-- name: count_hits
-- A window begins with its first hit, wherever that was. In the order of keys, lest two APIs wait for each other.
INSERT INTO rate_counters (key, hits, ends_at)
SELECT key, hits, now() + make_interval(secs => seconds)
FROM unnest($1::text[], $2::bigint[], $3::float[]) AS told (key, hits, seconds)
ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    hits = CASE WHEN rate_counters.ends_at <= now() THEN 0 ELSE rate_counters.hits END + excluded.hits,
    ends_at = CASE WHEN rate_counters.ends_at <= now() THEN excluded.ends_at ELSE rate_counters.ends_at END
RETURNING key, hits, extract(epoch FROM ends_at - now())::float AS seconds_left;

-- name: hold_slots
SELECT hold_slots($1 /* process */, $2 /* names */, $3 /* how many of each */, $4 /* for how long */) AS told;

-- name: leave_slots
DELETE FROM slot_holders WHERE id = $1;

-- name: forget_hits
DELETE FROM rate_counters WHERE ends_at < now();


-- ── webhooks: $1 is the owner ───────────────────────────────────────────────────────────────────────────────────────

-- name: create_webhook
-- Nothing where there are $9 already, or one of this id.
WITH made AS (
    INSERT INTO webhook_endpoints (owner, id, url, description, events, format, enabled)
    SELECT $1, $2, $3, $4, $5, $6, $7
    WHERE (SELECT count(*) FROM webhook_endpoints WHERE owner = $1) < $9
    ON CONFLICT (id) DO NOTHING
    RETURNING *
), secret AS (
    INSERT INTO webhook_secrets (owner, endpoint_id, fingerprint) SELECT owner, id, $8 FROM made
)
SELECT * FROM made;

-- name: list_webhooks
SELECT * FROM webhook_endpoints WHERE owner = $1 ORDER BY created_at, id;

-- name: get_webhook
SELECT * FROM webhook_endpoints WHERE owner = $1 AND id = $2;

-- name: change_webhook
-- $3 holds what is to be other. Switched on or off by hand it has no other reason any more.
UPDATE webhook_endpoints SET
    url             = coalesce($3::jsonb ->> 'url', url),
    description     = coalesce($3::jsonb ->> 'description', description),
    events          = CASE WHEN jsonb_typeof($3::jsonb -> 'events') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text($3::jsonb -> 'events'))
                           WHEN NOT $3::jsonb ? 'events' THEN events END,
    format          = coalesce($3::jsonb ->> 'format', format),
    enabled         = coalesce(($3::jsonb -> 'enabled')::boolean, enabled),
    disabled_reason = CASE WHEN NOT $3::jsonb ? 'enabled' THEN disabled_reason END,
    updated_at      = clock_timestamp()
WHERE owner = $1 AND id = $2
RETURNING *;

-- name: delete_webhook
WITH gone AS (
    DELETE FROM webhook_endpoints WHERE owner = $1 AND id = $2 RETURNING id
), secret AS (
    DELETE FROM webhook_secrets WHERE owner = $1 AND endpoint_id IN (SELECT id FROM gone)
)
SELECT id FROM gone;

-- name: webhook_secret
-- $2 is the endpoint, here and below. One that was never asked for is the first.
INSERT INTO webhook_secrets (owner, endpoint_id, fingerprint) VALUES ($1, $2, $3)
ON CONFLICT (owner, endpoint_id) DO UPDATE SET fingerprint = excluded.fingerprint
RETURNING version, CASE WHEN previous_until > clock_timestamp() THEN previous_until END AS previous_until;

-- name: rotate_webhook_secret
INSERT INTO webhook_secrets (owner, endpoint_id, fingerprint, version, previous_until)
VALUES ($1, $2, $3, 2, clock_timestamp() + $4::interval)
ON CONFLICT (owner, endpoint_id) DO UPDATE SET
    version = webhook_secrets.version + 1, previous_until = excluded.previous_until, fingerprint = excluded.fingerprint
RETURNING version, previous_until;

-- name: list_deliveries
-- The newest first, from ($3, $4) on.
SELECT delivery.*, coalesce(delivery.url, endpoint.url, '') AS url
FROM webhook_deliveries AS delivery LEFT JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
WHERE delivery.owner = $1 AND delivery.endpoint_id = $2 AND (delivery.created_at, delivery.id) < ($3, $4)
ORDER BY delivery.created_at DESC, delivery.id DESC LIMIT $5;

-- name: list_deliveries_by_status
-- A query of its own, for an index of its own.
SELECT delivery.*, coalesce(delivery.url, endpoint.url, '') AS url
FROM webhook_deliveries AS delivery LEFT JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
WHERE delivery.owner = $1 AND delivery.endpoint_id = $2 AND (delivery.created_at, delivery.id) < ($3, $4)
  AND delivery.status = $6
ORDER BY delivery.created_at DESC, delivery.id DESC LIMIT $5;

-- name: test_webhook
WITH asked AS (
    INSERT INTO webhook_deliveries (owner, endpoint_id, type)
    SELECT owner, id, 'webhook.test' FROM webhook_endpoints WHERE owner = $1 AND id = $2
    RETURNING *
)
SELECT asked.*, endpoint.url, pg_notify('streamforge_webhooks', '')
FROM asked JOIN webhook_endpoints AS endpoint ON endpoint.id = endpoint_id;

-- name: redeliver
-- Also one that is on its way: it is tried now.
WITH asked AS (
    UPDATE webhook_deliveries SET status = 'pending', tries = 0, due_at = clock_timestamp(), completed_at = NULL
    WHERE owner = $1 AND endpoint_id = $2 AND id = $3
    RETURNING *
)
SELECT asked.*, coalesce(asked.url, endpoint.url, '') AS url, pg_notify('streamforge_webhooks', '')
FROM asked LEFT JOIN webhook_endpoints AS endpoint ON endpoint.id = asked.endpoint_id;


-- ── webhooks, by the service ────────────────────────────────────────────────────────────────────────────────────────

-- name: take_due_deliveries
-- The longest due first; for $2 they are nobody else's. Several workers take different ones.
UPDATE webhook_deliveries SET due_at = clock_timestamp() + $2::interval
WHERE id IN (SELECT id FROM webhook_deliveries WHERE status = 'pending' AND due_at <= clock_timestamp()
             ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, owner, endpoint_id, job_id, type, event ->> 'stage' AS stage, (event -> 'owner_seq')::bigint AS number, tries;

-- name: postpone_deliveries
-- A try that was quicker has said when the next one is.
UPDATE webhook_deliveries SET due_at = greatest(due_at, clock_timestamp() + $2::interval)
WHERE id = ANY ($1::uuid[]) AND status = 'pending';

-- name: drop_deliveries
DELETE FROM webhook_deliveries WHERE id = ANY ($1::uuid[]) AND status = 'pending';

-- name: owed_delivery
-- Nothing when it is over.
SELECT delivery.*, coalesce(delivery.url, endpoint.url) AS url, coalesce(endpoint.enabled, delivery.url IS NOT NULL) AS enabled,
       coalesce(endpoint.format, 'standard') AS format, coalesce(secret.version, 1) AS version, secret.previous_until,
       secret.fingerprint
FROM webhook_deliveries AS delivery
LEFT JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
LEFT JOIN webhook_secrets AS secret ON secret.owner = delivery.owner AND secret.endpoint_id = delivery.endpoint_id
WHERE delivery.id = $1 AND delivery.status = 'pending';

-- name: record_attempt
-- $2 the attempt; $3 what it is then; $4 seconds until the next; $5 so many attempts are kept, $6 so long after the next one
-- somebody looks whether it was made.
UPDATE webhook_deliveries SET
    status       = $3,
    tries        = tries + 1,
    attempts     = (
        SELECT jsonb_agg(made ORDER BY number)
        FROM (SELECT made, number FROM jsonb_array_elements(attempts || $2::jsonb) WITH ORDINALITY AS each_one (made, number)
              ORDER BY number DESC LIMIT $5) AS latest),
    due_at       = clock_timestamp() + make_interval(secs => $4) + CASE WHEN $3 = 'pending' THEN $6::interval ELSE '0' END,
    completed_at = CASE WHEN $3 <> 'pending' THEN clock_timestamp() END
WHERE id = $1 AND status = 'pending';

-- name: disable_webhook
UPDATE webhook_endpoints SET enabled = false, disabled_reason = $2, updated_at = clock_timestamp() WHERE id = $1 AND enabled;

-- name: delete_old_deliveries
-- $2 at a time: a month of them takes longer than one statement may.
WITH gone AS (
    DELETE FROM webhook_deliveries
    WHERE id IN (SELECT id FROM webhook_deliveries WHERE completed_at < $1 ORDER BY completed_at LIMIT $2)
    RETURNING id
)
SELECT count(*) AS removed FROM gone;
