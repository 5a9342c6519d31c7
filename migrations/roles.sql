-- roles 10
-- What each role may do to each table, and to which of its rows: the one place to read and to change it. The migrator runs
-- this file after the functions, once for each number in its first line, and again where it finds that the roles are not in
-- force; raise the number with every change. It can be run by hand: psql -v caller=… -v worker=… -v admin=… -v schema=….
--
--   caller  what a request may do for the one owner that its transaction names in streamforge.owner
--   worker  what the service does by itself, in workers and APIs, with the jobs of all
--   admin   what administrators see of all, who may come in, and the audit log
--
-- A table that is not named here is nobody's but its owner's.

GRANT USAGE ON SCHEMA :"schema" TO :"caller", :"worker", :"admin";
REVOKE ALL ON owners, batches, jobs, uploads, fetches, job_terms, progress_events, part_progress, job_chunks, arrivals, installation,
       claimed_folders, api_keys, sessions, audit_log, rate_counters, months_of_film, deleted_bytes, slot_holders,
       held_slots, idempotency_keys, job_reports, workers, webhook_endpoints, webhook_secrets, webhook_deliveries, sinks,
       sink_positions, schema_migrations
FROM :"caller", :"worker", :"admin";

-- name of a policy: "own" holds for callers, "all" for whoever sees everybody's.
DROP POLICY IF EXISTS own ON owners;
DROP POLICY IF EXISTS own ON batches;
DROP POLICY IF EXISTS own ON jobs;
DROP POLICY IF EXISTS own ON uploads;
DROP POLICY IF EXISTS own ON fetches;
DROP POLICY IF EXISTS own ON job_terms;
DROP POLICY IF EXISTS own ON progress_events;
DROP POLICY IF EXISTS own ON part_progress;
DROP POLICY IF EXISTS own ON job_chunks;
DROP POLICY IF EXISTS own ON idempotency_keys;
DROP POLICY IF EXISTS own ON months_of_film;
DROP POLICY IF EXISTS own ON deleted_bytes;
DROP POLICY IF EXISTS own ON webhook_endpoints;
DROP POLICY IF EXISTS own ON webhook_secrets;
DROP POLICY IF EXISTS own ON webhook_deliveries;
DROP POLICY IF EXISTS "all" ON owners;
DROP POLICY IF EXISTS "all" ON batches;
DROP POLICY IF EXISTS "all" ON jobs;
DROP POLICY IF EXISTS "all" ON uploads;
DROP POLICY IF EXISTS "all" ON fetches;
DROP POLICY IF EXISTS "all" ON job_terms;
DROP POLICY IF EXISTS "all" ON progress_events;
DROP POLICY IF EXISTS "all" ON job_reports;
DROP POLICY IF EXISTS "all" ON part_progress;
DROP POLICY IF EXISTS "all" ON job_chunks;
DROP POLICY IF EXISTS "all" ON arrivals;
DROP POLICY IF EXISTS "all" ON installation;
DROP POLICY IF EXISTS "all" ON claimed_folders;
DROP POLICY IF EXISTS "all" ON api_keys;
DROP POLICY IF EXISTS "all" ON sessions;
DROP POLICY IF EXISTS "all" ON audit_log;
DROP POLICY IF EXISTS "all" ON rate_counters;
DROP POLICY IF EXISTS "all" ON idempotency_keys;
DROP POLICY IF EXISTS "all" ON sinks;
DROP POLICY IF EXISTS "all" ON sink_positions;
DROP POLICY IF EXISTS "all" ON workers;
DROP POLICY IF EXISTS "all" ON months_of_film;
DROP POLICY IF EXISTS "all" ON deleted_bytes;
DROP POLICY IF EXISTS "all" ON slot_holders;
DROP POLICY IF EXISTS "all" ON held_slots;
DROP POLICY IF EXISTS "all" ON webhook_endpoints;
DROP POLICY IF EXISTS "all" ON webhook_secrets;
DROP POLICY IF EXISTS "all" ON webhook_deliveries;


-- ── owners ──────────────────────────────────────────────────────────────────────────────────────────────────────────

GRANT SELECT, INSERT, UPDATE (event_seq) ON owners TO :"caller";
GRANT SELECT, INSERT, UPDATE ON owners TO :"worker";
GRANT SELECT ON owners TO :"admin";
CREATE POLICY own ON owners TO :"caller" USING (id = current_setting('streamforge.owner', true));
CREATE POLICY "all" ON owners TO :"worker", :"admin" USING (true);


-- ── batches and jobs ────────────────────────────────────────────────────────────────────────────────────────────────

GRANT SELECT, INSERT ON batches TO :"caller";
GRANT SELECT, UPDATE, DELETE ON batches TO :"worker";
GRANT SELECT ON batches TO :"admin";
CREATE POLICY own ON batches TO :"caller" USING (owner = current_setting('streamforge.owner', true));
CREATE POLICY "all" ON batches TO :"worker", :"admin" USING (true);

GRANT SELECT, INSERT, UPDATE (cancel_requested_at, purge_requested_at, paused_at, control_number, options, retain_until,
                             legal_hold, expiring_told_at, updated_at) ON jobs TO :"caller";
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO :"worker";
GRANT SELECT, UPDATE (cancel_requested_at, purge_requested_at, paused_at, control_number, options, retain_until,
                     legal_hold, expiring_told_at, updated_at) ON jobs TO :"admin";
-- Into the batch of somebody else no job can be put: its owner would count it.
CREATE POLICY own ON jobs TO :"caller" USING (owner = current_setting('streamforge.owner', true))
WITH CHECK (owner = current_setting('streamforge.owner', true)
            AND (batch_id IS NULL OR EXISTS (SELECT FROM batches WHERE batches.id = batch_id)));
CREATE POLICY "all" ON jobs TO :"worker", :"admin" USING (true);

-- Whose bytes come in is the caller's word; how many have come, the service's.
GRANT SELECT, INSERT ON uploads TO :"caller";
GRANT SELECT, INSERT, UPDATE, DELETE ON uploads TO :"worker";
GRANT SELECT ON uploads TO :"admin";
CREATE POLICY own ON uploads TO :"caller" USING (owner = current_setting('streamforge.owner', true))
WITH CHECK (owner = current_setting('streamforge.owner', true)
            AND (job_id IS NULL OR EXISTS (SELECT FROM jobs WHERE jobs.id = job_id)));
CREATE POLICY "all" ON uploads TO :"worker", :"admin" USING (true);

-- An address may hold a password: whoever has said it does not read it again, nor does anybody else but who fetches.
GRANT INSERT ON fetches TO :"caller";
GRANT SELECT, UPDATE, DELETE ON fetches TO :"worker";
CREATE POLICY own ON fetches TO :"caller" USING (EXISTS (SELECT FROM jobs WHERE jobs.id = job_id));
CREATE POLICY "all" ON fetches TO :"worker" USING (true);

GRANT SELECT, INSERT, DELETE ON job_terms TO :"caller", :"worker", :"admin";
CREATE POLICY own ON job_terms TO :"caller" USING (owner = current_setting('streamforge.owner', true));
CREATE POLICY "all" ON job_terms TO :"worker", :"admin" USING (true);


-- ── their log ───────────────────────────────────────────────────────────────────────────────────────────────────────

GRANT SELECT, INSERT ON progress_events TO :"caller";
GRANT SELECT, INSERT ON progress_events TO :"worker";
GRANT SELECT ON progress_events TO :"admin";
GRANT USAGE ON SEQUENCE progress_events_id_seq TO :"caller", :"worker";
-- Nor can one tell of a job that is somebody else's.
CREATE POLICY own ON progress_events TO :"caller" USING (owner = current_setting('streamforge.owner', true))
WITH CHECK (owner = current_setting('streamforge.owner', true) AND EXISTS (SELECT FROM jobs WHERE jobs.id = job_id));
CREATE POLICY "all" ON progress_events TO :"worker", :"admin" USING (true);

-- By the service, for whom it has found to be the job's owner.
GRANT SELECT, INSERT ON job_reports TO :"worker";
CREATE POLICY "all" ON job_reports TO :"worker" USING (true);

GRANT SELECT ON part_progress TO :"caller";
GRANT SELECT, INSERT, UPDATE, DELETE ON part_progress TO :"worker";
GRANT SELECT ON part_progress TO :"admin";
CREATE POLICY own ON part_progress TO :"caller" USING (EXISTS (SELECT FROM jobs WHERE jobs.id = job_id));
CREATE POLICY "all" ON part_progress TO :"worker", :"admin" USING (true);

GRANT SELECT ON job_chunks TO :"caller";
GRANT SELECT, INSERT, UPDATE, DELETE ON job_chunks TO :"worker";
GRANT SELECT ON job_chunks TO :"admin";
CREATE POLICY own ON job_chunks TO :"caller" USING (EXISTS (SELECT FROM jobs WHERE jobs.id = job_id));
CREATE POLICY "all" ON job_chunks TO :"worker", :"admin" USING (true);

GRANT SELECT, INSERT ON sinks TO :"worker";
GRANT SELECT, INSERT, UPDATE ON sink_positions TO :"worker";
CREATE POLICY "all" ON sinks TO :"worker" USING (true);
CREATE POLICY "all" ON sink_positions TO :"worker" USING (true);


-- ── how much is processed ───────────────────────────────────────────────────────────────────────────────────────────

GRANT SELECT ON months_of_film TO :"caller";
GRANT SELECT, INSERT, UPDATE ON months_of_film TO :"worker";
GRANT SELECT ON months_of_film TO :"admin";
CREATE POLICY own ON months_of_film TO :"caller" USING (owner = current_setting('streamforge.owner', true));
CREATE POLICY "all" ON months_of_film TO :"worker", :"admin" USING (true);

GRANT SELECT ON deleted_bytes TO :"caller";
GRANT SELECT, INSERT, UPDATE ON deleted_bytes TO :"worker";
GRANT SELECT ON deleted_bytes TO :"admin";
CREATE POLICY own ON deleted_bytes TO :"caller" USING (owner = current_setting('streamforge.owner', true));
CREATE POLICY "all" ON deleted_bytes TO :"worker", :"admin" USING (true);


-- ── the store ───────────────────────────────────────────────────────────────────────────────────────────────────────

GRANT SELECT, INSERT, UPDATE, DELETE ON arrivals TO :"worker";
GRANT SELECT ON installation TO :"worker";
GRANT SELECT, INSERT ON claimed_folders TO :"worker";
CREATE POLICY "all" ON arrivals TO :"worker" USING (true);
CREATE POLICY "all" ON installation TO :"worker" USING (true);
CREATE POLICY "all" ON claimed_folders TO :"worker" USING (true);


-- ── who may ask ─────────────────────────────────────────────────────────────────────────────────────────────────────
-- Not for workers, which process what strangers made: they neither read a hash nor make a key.

GRANT SELECT, INSERT, UPDATE (last_used_at, revoked_at) ON api_keys TO :"admin";
GRANT SELECT, INSERT, DELETE ON sessions TO :"admin";
CREATE POLICY "all" ON api_keys TO :"admin" USING (true);
CREATE POLICY "all" ON sessions TO :"admin" USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON rate_counters TO :"admin";
GRANT SELECT, INSERT, UPDATE, DELETE ON slot_holders, held_slots TO :"admin";
CREATE POLICY "all" ON rate_counters TO :"admin" USING (true);
CREATE POLICY "all" ON slot_holders TO :"admin" USING (true);
CREATE POLICY "all" ON held_slots TO :"admin" USING (true);

-- Of administrators, too, each has those of the owner they are.
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO :"caller";
GRANT SELECT (created_at), DELETE ON idempotency_keys TO :"worker";
CREATE POLICY own ON idempotency_keys TO :"caller" USING (owner = current_setting('streamforge.owner', true));
CREATE POLICY "all" ON idempotency_keys TO :"worker" USING (true);


-- ── workers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

GRANT SELECT, INSERT, UPDATE, DELETE ON workers TO :"worker";
GRANT SELECT, UPDATE (drain_requested_at) ON workers TO :"admin";
CREATE POLICY "all" ON workers TO :"worker", :"admin" USING (true);


-- ── who is told ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- What was tried, and what came of it, only the service says; a caller asks for another try.
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints, webhook_secrets TO :"caller";
GRANT SELECT, INSERT, UPDATE (status, tries, due_at, completed_at) ON webhook_deliveries TO :"caller";
GRANT SELECT, UPDATE (enabled, disabled_reason, updated_at) ON webhook_endpoints TO :"worker";
GRANT SELECT ON webhook_secrets TO :"worker";
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO :"worker";
CREATE POLICY own ON webhook_endpoints TO :"caller" USING (owner = current_setting('streamforge.owner', true));
CREATE POLICY own ON webhook_secrets TO :"caller" USING (owner = current_setting('streamforge.owner', true));
CREATE POLICY own ON webhook_deliveries TO :"caller" USING (owner = current_setting('streamforge.owner', true));
CREATE POLICY "all" ON webhook_endpoints TO :"worker" USING (true);
CREATE POLICY "all" ON webhook_secrets TO :"worker" USING (true);
CREATE POLICY "all" ON webhook_deliveries TO :"worker" USING (true);


-- ── the audit log ───────────────────────────────────────────────────────────────────────────────────────────────────
-- Appended to by whoever lets administrators in, swept by workers, and changed by nobody: see keep_audit_log(). When a row
-- was recorded only the database says.

GRANT SELECT, INSERT (first_at, last_at, count, owner, credential, action, target, target_owner, outcome, code, address,
                      request_id) ON audit_log TO :"admin";
GRANT SELECT (recorded_at), DELETE ON audit_log TO :"worker";
CREATE POLICY "all" ON audit_log TO :"worker", :"admin" USING (true);


-- ── the migrator's ──────────────────────────────────────────────────────────────────────────────────────────────────
-- Read at every start, also by a login that owns nothing and is but a member.

GRANT SELECT ON schema_migrations TO :"worker";
