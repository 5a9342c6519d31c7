-- functions 10
-- All functions of the database, as they are now: the one place to read and to change them. The migrator runs this file
-- after the numbered migrations, once for each number in its first line. Raise that with every change; a database never
-- goes back to a lower one, whichever version of the service starts last. What is called by a version before must go on
-- working: machines are updated one after the other. To change what a function takes or gives, drop it in a migration.
-- They run with the rights of whoever calls them, so that row-level security holds in them, too, but for one that says why.


-- ── what views of a job carry beside its row ────────────────────────────────────────────────────────────────────────

CREATE OR REPLACE FUNCTION latest_events(job uuid) RETURNS jsonb STABLE LANGUAGE sql AS $$
    SELECT coalesce(jsonb_agg(latest), '[]')
    FROM (SELECT stage, progress, message, created_at FROM progress_events
          WHERE job_id = job ORDER BY seq DESC LIMIT 10) AS latest
$$;
COMMENT ON FUNCTION latest_events IS 'the ten latest, newest first';

-- With the rights of its owner: a place in the queue counts the jobs of all, and says nothing else of them. Its body is bound to
-- tables and operators when it is made, so that no search_path of a caller can put others in their place; a migration that changes these columns drops it first.
CREATE OR REPLACE FUNCTION queue_position(job jobs) RETURNS bigint STABLE SECURITY DEFINER LANGUAGE sql
BEGIN ATOMIC
    SELECT count(*) FROM (
        SELECT FROM jobs AS other
        WHERE job.work_began_at IS NULL AND job.status IN ('pending', 'processing')
          AND other.work_began_at IS NULL AND other.status IN ('pending', 'processing')
          AND (other.priority, other.created_at, other.id) < (job.priority, job.created_at, job.id)
        LIMIT 1000
    ) AS before
    HAVING job.work_began_at IS NULL AND job.status IN ('pending', 'processing');
END;
COMMENT ON FUNCTION queue_position IS 'how many jobs that no worker has begun go before this one, counted to 1000; null when it does not wait';

CREATE OR REPLACE FUNCTION rendition_progress(job jobs) RETURNS jsonb STABLE LANGUAGE sql AS $$
    SELECT coalesce(jsonb_object_agg(name, jsonb_build_object('frames', frames, 'fps', fps)), '{}')
    FROM (
        SELECT name, sum((told ->> 'frames')::bigint) AS frames,
               -- A part that was told nothing for so long has lost its worker.
               sum((told ->> 'fps')::double precision) FILTER (WHERE updated_at > clock_timestamp() - interval '5 seconds') AS fps
        FROM part_progress, jsonb_each(renditions) AS each_rendition (name, told)
        WHERE job.status = 'processing' AND job_id = job.id
        GROUP BY name
    ) AS summed
$$;
COMMENT ON FUNCTION rendition_progress IS 'over all parts of a job that is being worked on; empty otherwise';

CREATE OR REPLACE FUNCTION job_summary(job jobs) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$
    SELECT jsonb_build_object('job_id', job.id, 'status', job.status, 'stage', job.stage, 'progress', job.progress)
$$;


-- ── what a caller asked for ─────────────────────────────────────────────────────────────────────────────────────────

-- Versions before 0011 write it into columns, without a document, and read it there when they start a workflow. Can go
-- with these columns, but for the priority, by which jobs are put in order.
CREATE OR REPLACE FUNCTION keep_options_in_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.options := coalesce(NEW.options, jsonb_build_object(
        'priority', NEW.priority, 'profile', NEW.profile, 'captions', NEW.captions,
        'on_damage', coalesce(NEW.on_damage, 'fail'),
        'external_id', NEW.external_id, 'metadata', NEW.metadata, 'webhook_url', NEW.webhook_url));
    NEW.priority := coalesce(NEW.options -> 'priority', to_jsonb(NEW.priority));
    NEW.profile := NEW.options ->> 'profile';
    NEW.captions := NEW.options ->> 'captions';
    NEW.on_damage := NEW.options ->> 'on_damage';
    NEW.external_id := NEW.options ->> 'external_id';
    NEW.metadata := nullif(NEW.options -> 'metadata', 'null');
    NEW.webhook_url := NEW.options ->> 'webhook_url';
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER options_in_step BEFORE INSERT OR UPDATE OF options ON jobs
FOR EACH ROW EXECUTE FUNCTION keep_options_in_step();


-- ── finding jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────

-- A digest: of one size, however long what it stands for, and equal where that is equal.
CREATE OR REPLACE FUNCTION job_term(kind text, content text) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$
    SELECT md5(kind || ':' || content)::uuid
$$;

-- Everything beyond ASCII counts as a letter, whatever the locale of the database knows of it.
CREATE OR REPLACE FUNCTION words_of(content text) RETURNS SETOF text IMMUTABLE LANGUAGE sql AS $$
    SELECT DISTINCT word FROM regexp_split_to_table(lower(content), '[^a-z0-9\u0080-\U0010ffff]+') AS word
    WHERE word <> '' ORDER BY word LIMIT 64
$$;

CREATE OR REPLACE FUNCTION metadata_terms(metadata jsonb) RETURNS SETOF uuid IMMUTABLE LANGUAGE sql AS $$
    SELECT job_term('metadata', jsonb_build_object(name, value)::text)
    FROM jsonb_each(CASE jsonb_typeof(metadata) WHEN 'object' THEN metadata ELSE '{}' END) AS each_one (name, value)
    WHERE jsonb_typeof(value) NOT IN ('object', 'array')
    ORDER BY name LIMIT 64
$$;
COMMENT ON FUNCTION metadata_terms IS 'of its first 64 names whose values are no objects and no lists';

CREATE OR REPLACE FUNCTION terms_of(key text, options jsonb) RETURNS SETOF uuid IMMUTABLE LANGUAGE sql AS $$
    SELECT job_term('key', key)
    UNION SELECT job_term('external_id', options ->> 'external_id') WHERE options ->> 'external_id' IS NOT NULL
    UNION SELECT job_term('word', word) FROM words_of(key) AS word
    UNION SELECT term FROM metadata_terms(options -> 'metadata') AS term
$$;
COMMENT ON FUNCTION terms_of IS 'what a job is found by; a change of it needs a migration that writes job_terms anew';

CREATE OR REPLACE FUNCTION keep_terms_in_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM job_terms
        WHERE term IN (SELECT terms_of(OLD.key, OLD.options)) AND owner = OLD.owner AND created_at = OLD.created_at AND job_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO job_terms (term, owner, created_at, job_id)
        SELECT term, NEW.owner, NEW.created_at, NEW.id FROM terms_of(NEW.key, NEW.options) AS term;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER terms_in_step AFTER INSERT OR DELETE OR UPDATE OF key, options, created_at ON jobs
FOR EACH ROW EXECUTE FUNCTION keep_terms_in_step();

-- A page of jobs, the newest first. `whose`: null for everybody's. `wanted` holds what they have to be; what is not in it does
-- not matter. Planned for each question anew: one plan for all of them reads a million rows for a rare status. With the
-- rights of whoever calls it, as everything here: row-level security holds.
CREATE OR REPLACE FUNCTION find_jobs(whose text, wanted jsonb, most integer) RETURNS SETOF jobs STABLE LANGUAGE plpgsql AS $$
DECLARE
    terms       uuid[] := ARRAY(
        SELECT job_term('key', wanted ->> 'key') WHERE wanted ? 'key'
        UNION SELECT job_term('external_id', wanted ->> 'external_id') WHERE wanted ? 'external_id'
        UNION SELECT job_term('word', word) FROM words_of(wanted ->> 'q') AS word
        UNION SELECT term FROM metadata_terms(wanted -> 'metadata') AS term);
    stage       text := wanted ->> 'stage';
    last_one    boolean := stage IN ('completed', 'failed', 'cancelled');
    asked       text := 'SELECT jobs.* FROM jobs';
    conditions  text[] := ARRAY['true'];
    at          text := 'jobs.created_at';
    id          text := 'jobs.id';
    number      integer;
BEGIN
    IF cardinality(terms) > 0 THEN
        -- The rarest leads, as far as a thousand rows tell; its index is in the order of the list. The others are looked up for each
        -- row: as joins, the planner takes them all together for so rare that it reads and sorts everything.
        terms := ARRAY(SELECT term FROM unnest(terms) AS each_one (term) ORDER BY (
            SELECT count(*) FROM (SELECT FROM job_terms WHERE job_terms.term = each_one.term AND (whose IS NULL OR owner = whose)
                                  LIMIT 1000) AS first_ones));
        asked := 'SELECT jobs.* FROM job_terms AS led JOIN jobs ON jobs.id = led.job_id';
        at := 'led.created_at';
        id := 'led.job_id';
        conditions := conditions || 'led.term = ($4)[1]'::text || CASE WHEN whose IS NOT NULL THEN 'led.owner = $1' END;
        FOR number IN 2 .. cardinality(terms) LOOP
            conditions := conditions || format(
                '(SELECT true FROM job_terms AS other WHERE other.term = ($4)[%s] AND other.owner = led.owner '
                'AND other.created_at = led.created_at AND other.job_id = led.job_id LIMIT 1)', number);
        END LOOP;
    END IF;
    conditions := conditions
        || CASE WHEN wanted ? 'since' THEN at || ' >= $5' END
        || CASE WHEN wanted ? 'until' THEN at || ' < $6' END
        || CASE WHEN wanted ? 'before' THEN format('(%s, %s) < ($7, $8)', at, id) END;
    conditions := conditions
        || CASE WHEN whose IS NOT NULL THEN 'jobs.owner = $1' END
        -- A job whose video is still being sent waits, for people.
        || CASE WHEN wanted ->> 'status' = 'pending' THEN 'jobs.status IN (''uploading'', ''pending'')'
                WHEN wanted ? 'status' THEN 'jobs.status = $2' END
        || CASE WHEN stage IS NOT NULL THEN 'jobs.stage = $9' END
        -- The last stage is called like the status of a job that is over; in the others only those are that are not.
        || CASE WHEN last_one THEN 'jobs.status = $9'
                WHEN NOT last_one THEN 'jobs.status IN (''uploading'', ''pending'', ''processing'')' END;
    RETURN QUERY EXECUTE asked || ' WHERE ' || array_to_string(conditions, ' AND ')
                         || format(' ORDER BY %s DESC, %s DESC LIMIT $3', at, id)
    USING whose, wanted ->> 'status', most, terms, (wanted ->> 'since')::timestamptz, (wanted ->> 'until')::timestamptz,
          (wanted #>> '{before,0}')::timestamptz, (wanted #>> '{before,1}')::uuid, stage;
END $$;


-- ── writing the log; streamforge.events.log says why no reader ever misses an event ─────────────────────────────────

-- As webhooks are asked for; see streamforge.contracts.webhooks.
CREATE OR REPLACE FUNCTION webhook_type(event text, stage text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT 'job.' || CASE WHEN event = 'progress' AND stage IN ('completed', 'failed', 'cancelled') THEN stage ELSE event END
$$;

-- What is to be told of an event, in the event's own transaction: whatever is away then or dies, it is owed. Workers are woken.
CREATE OR REPLACE FUNCTION owe_webhooks(job jobs, logged progress_events) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kind  text := webhook_type(logged.event, logged.stage);
BEGIN
    INSERT INTO webhook_deliveries (owner, endpoint_id, url, job_id, type, event)
    SELECT logged.owner, told.id, told.url, logged.job_id, kind, to_jsonb(logged) - 'id' - 'token'
    FROM (
        SELECT endpoint.id, NULL AS url FROM webhook_endpoints AS endpoint
        WHERE endpoint.owner = logged.owner AND endpoint.enabled
          AND CASE WHEN events IS NULL THEN kind <> 'job.progress' ELSE kind = ANY (events) OR '*' = ANY (events) END
        UNION ALL
        SELECT '00000000-0000-0000-0000-000000000000', job.options ->> 'webhook_url'
        WHERE job.options ->> 'webhook_url' IS NOT NULL AND kind <> 'job.progress'
    ) AS told;
    IF FOUND THEN PERFORM pg_notify('streamforge_webhooks', ''); END IF;
END $$;

-- The row of an event whose job row was raised to its number just now, under its lock. An owner is known from the first
-- job on: nobody has to be registered.
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
    PERFORM owe_webhooks(job, logged);
    RETURN logged;
END $$;

CREATE OR REPLACE FUNCTION notification(logged progress_events) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT concat_ws(':', logged.job_id, logged.seq, logged.owner, logged.owner_seq, logged.batch_id)
$$;

-- What one part has done; parts never go back. How far its stage is with all of them together, in percent of the job.
CREATE OR REPLACE FUNCTION record_part(job uuid, report jsonb) RETURNS smallint LANGUAGE plpgsql AS $$
DECLARE
    low    integer := report -> 'low';
    high   integer := report -> 'high';
    whole  double precision := report -> 'whole';
    total  double precision;
BEGIN
    INSERT INTO part_progress (job_id, stage, part, done, renditions)
    VALUES (job, report ->> 'stage', report ->> 'part', (report -> 'done')::double precision,
            coalesce(report -> 'renditions', '{}'))
    ON CONFLICT (job_id, stage, part) DO UPDATE SET
        done       = greatest(part_progress.done, excluded.done),
        -- Another attempt begins with the first frame again; until it is further, what counts is what was done before.
        renditions = CASE WHEN excluded.done >= part_progress.done THEN excluded.renditions
                          ELSE part_progress.renditions END,
        updated_at = clock_timestamp();
    SELECT sum(done) INTO total FROM part_progress WHERE job_id = job AND stage = report ->> 'stage';
    RETURN low + floor((high - low) * CASE WHEN whole > 0 THEN least(1, total / whole) ELSE 1 END);
END $$;

CREATE OR REPLACE FUNCTION count_in_batch(batch uuid, ending text) RETURNS jsonb LANGUAGE sql AS $$
    UPDATE batches SET completed = completed + (ending = 'completed')::integer,
                       failed    = failed + (ending = 'failed')::integer,
                       cancelled = cancelled + (ending = 'cancelled')::integer
    WHERE id = batch
    RETURNING jsonb_build_object('id', id, 'current', completed + failed + cancelled, 'total', total,
                                 'completed', completed, 'failed', failed, 'cancelled', cancelled)
$$;

-- What a job that is over has had processed, in seconds of film: all of it when it is completed; nothing when it failed, and not
-- of its owner's doing; else as much as was encoded, of sound alone all as soon as any was. Workers of every version end jobs:
-- what they wrote of the source may lack a number, and that must not keep a job from its end.
CREATE OR REPLACE FUNCTION film_processed(job jobs) RETURNS double precision STABLE LANGUAGE sql AS $$
    SELECT greatest(0, film) * CASE
        WHEN job.status = 'completed' THEN 1
        WHEN job.error ->> 'fault' = 'service' OR job.work_began_at IS NULL THEN 0
        ELSE coalesce(least(1, encoded / nullif(whole, 0)), 1)
    END
    FROM (
        SELECT coalesce(CASE jsonb_typeof(job.source -> 'duration') WHEN 'number' THEN (job.source -> 'duration')::double precision END,
                        job.counted_seconds, 0) AS film,
               (SELECT sum(frames::double precision)
                FROM jsonb_path_query(job.renditions, '$[*].frames ? (@.type() == "number")') AS frames) AS whole,
               (SELECT coalesce(sum(frames::double precision), 0)
                FROM part_progress, jsonb_path_query(part_progress.renditions, '$.*.frames ? (@.type() == "number")') AS frames
                WHERE job_id = job.id) AS encoded
    ) AS told
$$;

-- Put a job with so many seconds into its owner's month: that in which it was first counted. Counted again, it is corrected.
CREATE OR REPLACE FUNCTION count_film(job jobs, film double precision) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month_of  date := coalesce(job.counted_month, date_trunc('month', now() AT TIME ZONE 'UTC')::date);
    more      double precision := film - coalesce(job.counted_seconds, 0);
BEGIN
    IF more = 0 THEN RETURN; END IF;
    INSERT INTO months_of_film (owner, month, seconds) VALUES (job.owner, month_of, greatest(0, more))
    ON CONFLICT (owner, month) DO UPDATE SET seconds = greatest(0, months_of_film.seconds + more);
    UPDATE jobs SET counted_seconds = film, counted_month = month_of WHERE id = job.id;
END $$;

-- Before a film is encoded: count all of it, unless its owner's month would come to more than `most` seconds (null: as much as
-- anybody likes). Null when it is counted, else what the month has come to. What is counted already is not refused any more, and
-- a job that is over or gone not counted. One job's row is locked before the month, as where events are appended.
CREATE OR REPLACE FUNCTION admit_film(wanted uuid, film double precision, most double precision) RETURNS double precision
LANGUAGE plpgsql AS $$
DECLARE
    job     jobs;
    so_far  double precision;
BEGIN
    SELECT * INTO job FROM jobs
    WHERE id = wanted AND status NOT IN ('completed', 'failed', 'cancelled') FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    INSERT INTO months_of_film (owner, month, seconds)
    VALUES (job.owner, date_trunc('month', now() AT TIME ZONE 'UTC')::date, 0)
    ON CONFLICT (owner, month) DO UPDATE SET seconds = months_of_film.seconds
    RETURNING seconds INTO so_far;
    IF job.counted_month IS NULL AND so_far + film > most THEN RETURN so_far; END IF;
    PERFORM count_film(job, film);
    RETURN NULL;
END $$;

-- One event and what it changes. Progress never goes down, the stage never goes back (a report from an attempt that was
-- already replaced may arrive late), and a job that is over stays as it is: then nothing comes out. Of a job that somebody
-- was promised would be cancelled the only last word is 'cancelled', and only one that is uploading is told to wait. With `again`
-- an event that is there already comes out as it is.
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
    -- A worker of a version before 0034 takes a job without a workflow for one that has lost it.
    IF before.kind = 'external' AND ending IN ('completed', 'failed') AND NOT change ? 'reported' THEN RETURN NULL; END IF;
    -- Only one of those who have all bytes of an upload begins its job: the lock of one can be lost with its connection.
    IF ending = 'pending' AND before.status <> 'uploading' THEN RETURN NULL; END IF;

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
    IF ending IN ('completed', 'failed', 'cancelled') THEN
        PERFORM count_film(job, film_processed(job));
    END IF;
    IF job.batch_id IS NOT NULL AND ending IN ('completed', 'failed', 'cancelled') THEN
        details := coalesce(details, '{}') || jsonb_build_object('batch', count_in_batch(job.batch_id, ending));
    END IF;
    RETURN log_event(job, change ->> 'event', change ->> 'message', details, (change ->> 'token')::uuid);
END $$;

-- Several events in one transaction, each job's in the order given, told to listeners once for each job. All locks are
-- taken first, and in one order: jobs, batches, owners, each by id. So writers wait for each other, never in a circle.
CREATE OR REPLACE FUNCTION append_events(changes jsonb, stages text[], again boolean) RETURNS SETOF progress_events
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

-- What somebody outside reports of a job, in its order and once: `said` is the time that it speaks of, `token` what it is known by.
-- `outcome` is `recorded`; `behind` when what came before is newer or further (then it is told, and the job stays where it is);
-- `repeated` with the event that it became the first time; `over` when the job takes no more; null when there is none that does.
CREATE OR REPLACE FUNCTION record_report(wanted uuid, token uuid, said timestamptz, told jsonb, change jsonb, stages text[],
                                         OUT outcome text, OUT event progress_events) LANGUAGE plpgsql AS $$
DECLARE
    job    jobs;
    stale  boolean;
BEGIN
    SELECT * INTO job FROM jobs WHERE id = wanted AND kind = 'external' FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT logged.* INTO event FROM job_reports AS known JOIN progress_events AS logged ON logged.job_id = known.job_id AND logged.seq = known.seq
    WHERE known.job_id = wanted AND known.token = record_report.token;
    IF FOUND THEN outcome := 'repeated'; RETURN; END IF;

    outcome := 'over';
    IF job.status IN ('completed', 'failed', 'cancelled') THEN RETURN; END IF;
    -- Its worker may be in a stage of its own, that we have no word for.
    IF NOT change ? 'stage' THEN
        change := change || jsonb_build_object('stage', CASE
            WHEN job.stage = 'uploading' AND told ->> 'status' = 'processing' THEN 'transcoding' ELSE job.stage END);
    END IF;
    -- The last word holds, whatever the clock of its machine says.
    stale := said < job.reported_at AND coalesce(change ->> 'status', '') NOT IN ('completed', 'failed');
    event := append_event(CASE WHEN stale THEN change - 'status' - 'progress' || jsonb_build_object('stage', job.stage)
                               ELSE change || '{"reported": true}' END, stages, false);
    IF event.id IS NULL THEN RETURN; END IF;
    outcome := CASE WHEN stale OR event.progress > (change -> 'progress')::smallint OR event.stage <> change ->> 'stage'
                    THEN 'behind' ELSE 'recorded' END;
    INSERT INTO job_reports (job_id, token, seq) VALUES (wanted, record_report.token, event.seq);
    UPDATE jobs SET
        reported_at   = greatest(reported_at, said),
        report        = CASE WHEN stale THEN report ELSE told END,
        report_due_at = clock_timestamp() + silence
    WHERE id = wanted;
    PERFORM pg_notify('streamforge_events', notification(event));
END $$;

-- End an external job that nobody reported of for too long; nothing when somebody did meanwhile.
CREATE OR REPLACE FUNCTION end_silent_job(wanted uuid, change jsonb, stages text[]) RETURNS SETOF progress_events LANGUAGE plpgsql AS $$
DECLARE
    logged progress_events;
BEGIN
    PERFORM 1 FROM jobs WHERE id = wanted AND report_due_at < clock_timestamp() FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    logged := append_event(change || '{"reported": true}', stages, false);
    IF logged.id IS NOT NULL THEN
        PERFORM pg_notify('streamforge_events', notification(logged));
        RETURN NEXT logged;
    END IF;
END $$;


-- ── what was sent in a day ──────────────────────────────────────────────────────────────────────────────────────────

-- Whoever could have the bytes of a day back by deleting what was sent could send without end.
CREATE OR REPLACE FUNCTION keep_bytes(whose text, sent_at timestamptz, size bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO deleted_bytes (owner, day, bytes)
    SELECT whose, today, size
    FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS utc
    WHERE sent_at >= today::timestamp AT TIME ZONE 'UTC' AND size > 0
    ON CONFLICT (owner) DO UPDATE SET
        bytes = excluded.bytes + CASE WHEN deleted_bytes.day = excluded.day THEN deleted_bytes.bytes ELSE 0 END,
        day   = excluded.day
$$;
COMMENT ON FUNCTION keep_bytes IS 'of something that is deleted; nothing, where it was not sent today (UTC)';

CREATE OR REPLACE FUNCTION keep_bytes_of_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_bytes(OLD.owner, OLD.created_at, OLD.size_bytes);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER bytes_are_kept AFTER DELETE ON jobs
FOR EACH ROW EXECUTE FUNCTION keep_bytes_of_deleted();


-- ── how many go on at once ──────────────────────────────────────────────────────────────────────────────────────────

-- How many of each name a process holds, and that it lives; what others hold of these comes out. One process after the other: two
-- that ask for the last one at the same time do not both get it. Those whose lease is over hold nothing.
CREATE OR REPLACE FUNCTION hold_slots(process uuid, names text[], numbers integer[], lease interval) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    was_known  boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(7883361208410629);  -- Arbitrary, and ours alone.
    INSERT INTO slot_holders (id, renewed_at) VALUES (process, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET renewed_at = clock_timestamp()
    RETURNING xmax <> 0 INTO was_known;
    DELETE FROM slot_holders WHERE renewed_at < clock_timestamp() - lease;
    DELETE FROM held_slots USING unnest(names, numbers) AS told (slot, number)
    WHERE holder = process AND name = slot AND number = 0;
    INSERT INTO held_slots (name, holder, held)
    SELECT slot, process, number FROM unnest(names, numbers) AS told (slot, number) WHERE number > 0
    ON CONFLICT (name, holder) DO UPDATE SET held = excluded.held;
    RETURN jsonb_build_object('was_known', was_known, 'others', coalesce(
        (SELECT jsonb_object_agg(slot, others)
         FROM (SELECT name AS slot, sum(held) AS others FROM held_slots
               WHERE name = ANY (names) AND holder <> process GROUP BY name) AS summed), '{}'));
END $$;


-- ── the audit log ───────────────────────────────────────────────────────────────────────────────────────────────────

-- Whoever could rewrite it could hide. Rows go by retention only, and none before it is a day old.
CREATE OR REPLACE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.recorded_at < clock_timestamp() - interval '1 day' THEN RETURN OLD; END IF;
    RAISE EXCEPTION 'The audit log is only appended to.';
END $$;
CREATE OR REPLACE TRIGGER audit_log_is_kept BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION keep_audit_log();
CREATE OR REPLACE TRIGGER audit_log_is_kept_whole BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();
