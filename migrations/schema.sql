-- The database as it is now, to be read: nothing runs this file but a test, which holds it against what the numbered
-- migrations come to. A change goes into a new migration and into here; functions are in functions.sql.


-- ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

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

CREATE TABLE jobs (
    id                   uuid PRIMARY KEY,
    owner                text NOT NULL DEFAULT 'everyone' REFERENCES owners,
    batch_id             uuid REFERENCES batches ON DELETE SET NULL,
    key                  text NOT NULL,
    bucket               text NOT NULL DEFAULT 'input',
    workflow_id          text NOT NULL UNIQUE,

    -- what came
    source_object        text NOT NULL,
    size_bytes           bigint NOT NULL,
    source_sha256        text NOT NULL,

    options              jsonb NOT NULL,
    priority             smallint NOT NULL DEFAULT 3 CHECK (priority BETWEEN 1 AND 5),
    -- As versions before 0011 have it: see keep_options_in_step() in functions.sql.
    profile              text,
    captions             text,
    on_damage            text,
    external_id          text,
    metadata             jsonb,
    webhook_url          text,

    -- how far it is
    status               text NOT NULL DEFAULT 'pending'
                         CHECK (status IN ('uploading', 'pending', 'processing', 'completed', 'failed', 'cancelled')),
    stage                text NOT NULL DEFAULT 'uploading',
    progress             smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    event_seq            bigint NOT NULL DEFAULT 0,

    -- of one whose worker is not ours
    kind                 text NOT NULL DEFAULT 'video' CHECK (kind IN ('video', 'external')),
    silence              interval,
    report_due_at        timestamptz,
    reported_at          timestamptz,
    report               jsonb,

    -- what is known, and what came out
    source               jsonb,
    renditions           jsonb,
    playback             jsonb,
    result               jsonb,
    error                jsonb,
    error_message        text,

    -- when
    created_at           timestamptz NOT NULL DEFAULT clock_timestamp(),  -- those of a batch stand in a queue, too
    updated_at           timestamptz NOT NULL DEFAULT now(),
    launched_at          timestamptz,
    started_at           timestamptz,
    work_began_at        timestamptz,
    moved_at             timestamptz NOT NULL DEFAULT now(),
    cancel_requested_at  timestamptz,
    cancel_told_at       timestamptz,
    completed_at         timestamptz,

    origin               jsonb,
    source_url           text,

    -- what callers change of it
    retain_until         timestamptz,
    legal_hold           boolean NOT NULL DEFAULT false,
    purge_requested_at   timestamptz,
    paused_at            timestamptz,
    control_number       bigint NOT NULL DEFAULT 0,
    control_told         bigint NOT NULL DEFAULT 0,
    retries              integer NOT NULL DEFAULT 0,
    parts_kept_at        timestamptz,
    original_removed_at  timestamptz,
    output_removed_at    timestamptz,
    expiring_told_at     timestamptz,

    -- what it is in its owner's month with
    counted_seconds      double precision,
    counted_month        date
);
COMMENT ON COLUMN jobs.options IS 'what the caller asked for; see streamforge.contracts.job_options';
COMMENT ON COLUMN jobs.kind IS 'external = who works on it reports from outside; no workflow has it, and no worker of ours';
COMMENT ON COLUMN jobs.silence IS 'of an external job: how long nobody may report of it';
COMMENT ON COLUMN jobs.report_due_at IS 'when an external job fails unless somebody reports; null = of no matter';
COMMENT ON COLUMN jobs.reported_at IS 'the time that its latest report speaks of';
COMMENT ON COLUMN jobs.report IS 'its latest report; see streamforge.contracts.reports';
COMMENT ON COLUMN jobs.launched_at IS 'when Temporal took the workflow; null = the API still owes it the start';
COMMENT ON COLUMN jobs.work_began_at IS 'when a worker did its first frame; until then it waits, whatever its status';
COMMENT ON COLUMN jobs.moved_at IS 'when it last got any further';
COMMENT ON COLUMN jobs.cancel_requested_at IS 'when somebody was told that the job will be cancelled';
COMMENT ON COLUMN jobs.cancel_told_at IS 'when Temporal took the request; null = the API still owes it';
COMMENT ON COLUMN jobs.counted_seconds IS 'what the job is in months_of_film with; null = it is not in there';
COMMENT ON COLUMN jobs.origin IS 'request id and trace of the request that brought it; see streamforge.contracts.origin';
COMMENT ON COLUMN jobs.source_url IS 'where the video is fetched from, as it may be shown: without passwords and query; null = it was sent';
COMMENT ON COLUMN jobs.retain_until IS 'when it may be removed; null = when the settings say';
COMMENT ON COLUMN jobs.legal_hold IS 'nothing of it is removed, by whomever';
COMMENT ON COLUMN jobs.purge_requested_at IS 'when somebody was told that it goes, with its media';
COMMENT ON COLUMN jobs.paused_at IS 'since when no part of it is begun';
COMMENT ON COLUMN jobs.control_number IS 'raised with each change that its workflow must hear of';
COMMENT ON COLUMN jobs.control_told IS 'the number that its workflow has heard of; smaller = the API still owes it';
COMMENT ON COLUMN jobs.retries IS 'how often it was tried again on request';
COMMENT ON COLUMN jobs.parts_kept_at IS 'when it failed with what was encoded of it kept for another try; null = nothing is';
COMMENT ON COLUMN jobs.expiring_told_at IS 'when it was told that the job is about to go';

CREATE INDEX jobs_newest ON jobs (owner, created_at DESC, id DESC);
CREATE INDEX jobs_newest_of_all ON jobs (created_at DESC, id DESC);
CREATE INDEX jobs_by_status ON jobs (owner, status, created_at DESC, id DESC);
CREATE INDEX jobs_by_status_of_all ON jobs (status, created_at DESC, id DESC);
CREATE INDEX jobs_by_stage ON jobs (owner, stage, created_at DESC, id DESC)
    WHERE status IN ('uploading', 'pending', 'processing');
CREATE INDEX jobs_by_end ON jobs (completed_at DESC) WHERE completed_at IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (priority, created_at, id)
    WHERE work_began_at IS NULL AND status IN ('pending', 'processing');
CREATE INDEX jobs_unfinished ON jobs (status, stage) WHERE status IN ('pending', 'processing');
CREATE INDEX jobs_to_launch ON jobs (priority, owner, created_at, id)
    WHERE launched_at IS NULL AND status IN ('pending', 'processing') AND cancel_requested_at IS NULL AND paused_at IS NULL;
CREATE INDEX jobs_by_end_of_an_owner ON jobs (owner, completed_at DESC) WHERE completed_at IS NOT NULL;
CREATE INDEX jobs_of_a_batch ON jobs (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX jobs_to_cancel ON jobs (cancel_requested_at, id)
    WHERE cancel_requested_at IS NOT NULL AND cancel_told_at IS NULL AND status IN ('uploading', 'pending', 'processing');
CREATE INDEX jobs_to_purge ON jobs (purge_requested_at, id) WHERE purge_requested_at IS NOT NULL;
CREATE INDEX jobs_to_control ON jobs (id) WHERE control_told < control_number AND status IN ('pending', 'processing');
CREATE INDEX jobs_by_report_due ON jobs (report_due_at)
    WHERE report_due_at IS NOT NULL AND status IN ('pending', 'processing');
CREATE INDEX jobs_with_kept_parts ON jobs (parts_kept_at) WHERE parts_kept_at IS NOT NULL;

-- Uploads that can be resumed: a job's only one, or a part of another.
CREATE TABLE uploads (
    id          uuid PRIMARY KEY,
    owner       text NOT NULL REFERENCES owners,
    job_id      uuid REFERENCES jobs ON DELETE CASCADE,
    length      bigint CHECK (length >= 0),
    received    bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
    made_of     uuid[],
    metadata    text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
COMMENT ON TABLE uploads IS 'by the tus protocol; one is over when its job is not uploading any more';
COMMENT ON COLUMN uploads.job_id IS 'null = it is a part of another upload, and no video by itself';
COMMENT ON COLUMN uploads.length IS 'in bytes; null = its sender does not know yet';
COMMENT ON COLUMN uploads.received IS 'so many bytes lie safely in the store';
COMMENT ON COLUMN uploads.made_of IS 'the parts that were put together';
COMMENT ON COLUMN uploads.metadata IS 'as it was sent: Upload-Metadata';
CREATE INDEX uploads_by_end ON uploads (expires_at);
CREATE INDEX uploads_of_an_owner ON uploads (owner, created_at) WHERE job_id IS NULL;
CREATE INDEX uploads_of_a_job ON uploads (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE fetches (
    job_id     uuid PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    url        text,
    validator  text,
    length     bigint,
    received   bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE fetches IS 'of jobs whose video is fetched: from where, and how far; callers write and never read it';
COMMENT ON COLUMN fetches.url IS 'with what is secret in it; null = the original is in the store';
COMMENT ON COLUMN fetches.validator IS 'what the source calls the version that is being fetched: see streamforge.fetching';
COMMENT ON COLUMN fetches.length IS 'in bytes; null = the source has not said';
COMMENT ON COLUMN fetches.received IS 'so many bytes lie safely in the store';

-- Kept by a trigger, terms_in_step in functions.sql. Each is an equality that row-level security lets an index answer:
-- `@>`, `@@` and LIKE are not LEAKPROOF.
CREATE TABLE job_terms (
    term        uuid NOT NULL,
    owner       text NOT NULL,
    created_at  timestamptz NOT NULL,
    job_id      uuid NOT NULL,
    PRIMARY KEY (term, owner, created_at, job_id)
);
COMMENT ON TABLE job_terms IS 'what jobs are found by: digests of their keys, words of these, external ids and metadata; see terms_of() in functions.sql';


-- ── the event log ───────────────────────────────────────────────────────────────────────────────────────────────────
-- Numbered per job: `jobs.event_seq` is raised by the same statement that inserts the event, so the row lock orders
-- concurrent writers and a rolled-back append leaves no gap. `progress_events.id` alone could not serve as a cursor:
-- sequences are handed out before commit, and a reader at "the highest id seen" would skip late committers. One log is
-- followed three ways: a job's events by `seq`, an owner's and a batch's by `owner_seq`.

CREATE TABLE progress_events (
    id          bigserial PRIMARY KEY,
    job_id      uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    seq         bigint NOT NULL,
    owner       text NOT NULL DEFAULT 'everyone',
    owner_seq   bigint NOT NULL,
    batch_id    uuid,
    event       text NOT NULL DEFAULT 'progress'
                -- Becomes the `event:` line of a stream: no line breaks, and no name that a stream or EventSource uses itself.
                CHECK (event ~ '^[a-z][a-z_]*$' AND event NOT IN ('message', 'open', 'error', 'status', 'reset', 'done')),
    stage       text NOT NULL,
    progress    smallint NOT NULL,
    message     text NOT NULL,
    details     jsonb,
    token       uuid,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (job_id, seq),
    UNIQUE (owner, owner_seq)
);
COMMENT ON COLUMN progress_events.token IS 'the writer''s own name for it: an append that is repeated finds it';
CREATE INDEX progress_events_of_a_batch ON progress_events (batch_id, owner_seq) WHERE batch_id IS NOT NULL;

CREATE TABLE job_reports (
    job_id  uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    token   uuid NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (job_id, token)
);
COMMENT ON TABLE job_reports IS 'digests of what was reported, and the number of the event that each became: one that is repeated finds it';

-- What each concurrently encoded part of a stage has done; summed into jobs.progress under the job row's lock.
CREATE TABLE part_progress (
    job_id      uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    stage       text NOT NULL,
    part        text NOT NULL,
    done        double precision NOT NULL,
    renditions  jsonb NOT NULL DEFAULT '{}',
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, stage, part)
);
COMMENT ON COLUMN part_progress.renditions IS '{"720p": {"frames": done, "fps": now, or null when its encoder is not at work}}';

CREATE TABLE job_chunks (
    job_id      uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    chunk       integer NOT NULL,
    part        text NOT NULL,
    starts_at   double precision NOT NULL,
    ends_at     double precision,
    renditions  text[] NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'waiting',
    attempts    integer NOT NULL DEFAULT 0,
    worker      text,
    began_at    timestamptz,
    ended_at    timestamptz,
    frames      bigint,
    size_bytes  bigint,
    vmaf        jsonb,
    segments    jsonb,
    PRIMARY KEY (job_id, chunk, part)
);
COMMENT ON TABLE job_chunks IS 'a row for each chunk that is planned, with no part, and one for each part of it that was begun';
COMMENT ON COLUMN job_chunks.part IS 'its first rendition; empty = the chunk itself';
COMMENT ON COLUMN job_chunks.starts_at IS 'in seconds from the start of the film, as ends_at, which is null for the last';


CREATE TABLE sinks (
    name      text PRIMARY KEY,
    began_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE sinks IS 'brokers that events went out to; see streamforge.sinks';

CREATE TABLE sink_positions (
    sink   text NOT NULL REFERENCES sinks ON DELETE CASCADE,
    owner  text NOT NULL,
    seq    bigint NOT NULL,
    PRIMARY KEY (sink, owner)
);
COMMENT ON COLUMN sink_positions.seq IS 'all events of the owner up to this number are there; no row = none is';


-- ── the store ───────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE arrivals (
    job_id   uuid PRIMARY KEY,
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE arrivals IS 'of batches whose upload goes on: told again while it does, so that the sweep leaves them alone';

CREATE TABLE installation (
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton)
);
COMMENT ON TABLE installation IS 'one row: all that work on this database are one installation';
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE claimed_folders (
    url         text PRIMARY KEY,
    claimed_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE claimed_folders IS 'folders in which the mark of this installation was seen, as file:// URLs';


-- ── who may ask ─────────────────────────────────────────────────────────────────────────────────────────────────────
-- Looked up before it is known whose they are.

CREATE TABLE api_keys (
    prefix        text PRIMARY KEY CHECK (prefix ~ '^sf_[a-z2-7]{8}$'),
    hash          bytea NOT NULL,
    owner         text NOT NULL CHECK (owner ~ '^[A-Za-z0-9_.@+-]{1,128}$'),
    scopes        text[] NOT NULL CHECK (scopes <@ '{submit,report,read,admin}' AND cardinality(scopes) > 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    last_used_at  timestamptz,
    revoked_at    timestamptz
);
COMMENT ON TABLE api_keys IS 'revoked ones stay, so that it can be told whose they were';
COMMENT ON COLUMN api_keys.prefix IS 'how the key begins: what it is called, and no secret';
COMMENT ON COLUMN api_keys.hash IS 'HMAC-SHA256 of the whole key, with a key derived from the secret of the installation';
COMMENT ON COLUMN api_keys.last_used_at IS 'told now and then, not at each use';

CREATE TABLE sessions (
    id          text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{64}$'),
    owner       text NOT NULL CHECK (owner ~ '^[A-Za-z0-9_.@+-]{1,128}$'),
    scopes      text[] NOT NULL CHECK (scopes <@ '{submit,report,read,admin}'),
    credential  text NOT NULL,
    prefix      text REFERENCES api_keys ON DELETE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
COMMENT ON COLUMN sessions.id IS 'HMAC-SHA256 of what the cookie holds: who reads this table gets no cookie';
COMMENT ON COLUMN sessions.credential IS 'what it was made of, as in logs';
COMMENT ON COLUMN sessions.prefix IS 'the key it was made of, and ends with; null = a token, whose end is in expires_at';
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX sessions_of_a_key ON sessions (prefix) WHERE prefix IS NOT NULL;


-- ── who did what ────────────────────────────────────────────────────────────────────────────────────────────────────
-- Only appended to: see keep_audit_log() in functions.sql.

CREATE TABLE audit_log (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    first_at      timestamptz NOT NULL,
    last_at       timestamptz NOT NULL,
    count         integer NOT NULL CHECK (count > 0),
    owner         text,
    credential    text,
    action        text NOT NULL,
    target        text,
    target_owner  text,
    outcome       text NOT NULL,
    code          text,
    address       text,
    request_id    text
);
COMMENT ON TABLE audit_log IS 'what administrators did to what is not their own, and what was refused; see streamforge.access.audit';
COMMENT ON COLUMN audit_log.count IS 'how often, between first_at and last_at; the same again within a minute is one row';
COMMENT ON COLUMN audit_log.owner IS 'who did it; null = nobody that is known';
COMMENT ON COLUMN audit_log.request_id IS 'of the first time';
CREATE INDEX audit_log_by_owner ON audit_log (owner, id DESC);
CREATE INDEX audit_log_by_target ON audit_log (target, id DESC);
CREATE INDEX audit_log_by_time ON audit_log USING brin (recorded_at);


-- ── how often somebody asks ─────────────────────────────────────────────────────────────────────────────────────────

CREATE UNLOGGED TABLE rate_counters (
    key      text PRIMARY KEY,
    hits     bigint NOT NULL,
    ends_at  timestamptz NOT NULL
);
COMMENT ON TABLE rate_counters IS 'see streamforge.access.rates';
CREATE INDEX rate_counters_by_end ON rate_counters (ends_at);


-- ── workers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE workers (
    id                  text PRIMARY KEY,
    host                text NOT NULL,
    version             text NOT NULL,
    about               jsonb NOT NULL,
    started_at          timestamptz NOT NULL,
    seen_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    drain_requested_at  timestamptz
);
COMMENT ON TABLE workers IS 'those that run, or did a moment ago: each tells of itself every few seconds';
COMMENT ON COLUMN workers.about IS 'slots, what runs, memory, GPUs; see streamforge.contracts.worker_view';


-- ── POSTs that name themselves ──────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE idempotency_keys (
    owner        text NOT NULL,
    key          text NOT NULL,
    action       text NOT NULL,
    token        uuid NOT NULL,
    made_id      uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until  timestamptz NOT NULL,
    fingerprint  bytea,
    size_bytes   bigint,
    status       smallint,
    headers      jsonb,
    body         bytea,
    PRIMARY KEY (owner, key)
);
COMMENT ON TABLE idempotency_keys IS 'see streamforge.api.http.idempotency; kept for a day';
COMMENT ON COLUMN idempotency_keys.token IS 'of the request that works on it';
COMMENT ON COLUMN idempotency_keys.made_id IS 'of what it makes: the next try of one that a killed process left makes the same';
COMMENT ON COLUMN idempotency_keys.lease_until IS 'while it is worked on: renewed until then, by whoever does';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'of the body that was answered';
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);


-- ── how many go on at once ──────────────────────────────────────────────────────────────────────────────────────────

CREATE UNLOGGED TABLE slot_holders (
    id          uuid PRIMARY KEY,
    renewed_at  timestamptz NOT NULL
);
COMMENT ON TABLE slot_holders IS 'processes that live; see streamforge.access.slots';

CREATE UNLOGGED TABLE held_slots (
    name    text NOT NULL,
    holder  uuid NOT NULL REFERENCES slot_holders ON DELETE CASCADE,
    held    integer NOT NULL CHECK (held > 0),
    PRIMARY KEY (name, holder)
);
COMMENT ON TABLE held_slots IS 'how many of what a process holds';
CREATE INDEX held_slots_of_a_holder ON held_slots (holder);


-- ── how much is processed ───────────────────────────────────────────────────────────────────────────────────────────
-- Sums, which stay when jobs and their rows go.

CREATE TABLE months_of_film (
    owner    text NOT NULL,
    month    date NOT NULL CHECK (extract(day FROM month) = 1),
    seconds  double precision NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (owner, month)
);
COMMENT ON TABLE months_of_film IS 'what was processed for an owner, together with what is being processed; see count_film()';

CREATE TABLE deleted_bytes (
    owner  text PRIMARY KEY,
    day    date NOT NULL,
    bytes  bigint NOT NULL CHECK (bytes >= 0)
);
COMMENT ON TABLE deleted_bytes IS 'of jobs and parts that are gone; see keep_bytes()';


-- ── who is told ─────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE webhook_endpoints (
    id               uuid PRIMARY KEY,
    owner            text NOT NULL,
    url              text NOT NULL,
    description      text NOT NULL DEFAULT '',
    events           text[],
    format           text NOT NULL DEFAULT 'standard' CHECK (format IN ('standard', 'cloudevents')),
    enabled          boolean NOT NULL DEFAULT true,
    disabled_reason  text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE webhook_endpoints IS 'addresses that are told of an owner''s jobs';
COMMENT ON COLUMN webhook_endpoints.events IS 'types; null = all but job.progress, * = all';
COMMENT ON COLUMN webhook_endpoints.disabled_reason IS 'null where its owner did it';
CREATE INDEX webhook_endpoints_of_an_owner ON webhook_endpoints (owner, created_at, id);

CREATE TABLE webhook_secrets (
    owner            text NOT NULL,
    endpoint_id      uuid NOT NULL,
    version          integer NOT NULL DEFAULT 1 CHECK (version > 0),
    previous_until   timestamptz,
    fingerprint      text NOT NULL,
    PRIMARY KEY (owner, endpoint_id)
);
COMMENT ON TABLE webhook_secrets IS 'which of the derived secrets signs; none is stored, see streamforge.webhooks.signing';
COMMENT ON COLUMN webhook_secrets.previous_until IS 'the version before signs, too, until then';
COMMENT ON COLUMN webhook_secrets.fingerprint IS 'of what it is derived from: who derives from something else would sign wrongly';

-- No foreign keys: an event must not fail because an endpoint goes in the same moment, and is told when its job is gone.
CREATE TABLE webhook_deliveries (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner         text NOT NULL,
    endpoint_id   uuid NOT NULL,
    url           text,
    job_id        uuid,
    type          text NOT NULL,
    event         jsonb,
    status        text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    tries         integer NOT NULL DEFAULT 0,
    attempts      jsonb NOT NULL DEFAULT '[]',
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at  timestamptz
);
COMMENT ON TABLE webhook_deliveries IS 'what endpoints are owed, were told, or could not be told';
COMMENT ON COLUMN webhook_deliveries.endpoint_id IS 'all zeros = the address that a job brought with it, which is url';
COMMENT ON COLUMN webhook_deliveries.event IS 'as it is in the log; null = a test';
COMMENT ON COLUMN webhook_deliveries.tries IS 'since it was last asked for';
COMMENT ON COLUMN webhook_deliveries.attempts IS 'the latest; see streamforge.contracts.webhooks';
COMMENT ON COLUMN webhook_deliveries.due_at IS 'when a worker has to see that somebody is at it';
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (owner, endpoint_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (owner, endpoint_id, status, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_by_end ON webhook_deliveries (completed_at) WHERE completed_at IS NOT NULL;


-- ── isolation ───────────────────────────────────────────────────────────────────────────────────────────────────────
-- Who may do what to which rows is in roles.sql.

ALTER TABLE owners ENABLE ROW LEVEL SECURITY;
ALTER TABLE batches ENABLE ROW LEVEL SECURITY;
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE fetches ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_terms ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE sinks ENABLE ROW LEVEL SECURITY;
ALTER TABLE sink_positions ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE part_progress ENABLE ROW LEVEL SECURITY;
ALTER TABLE arrivals ENABLE ROW LEVEL SECURITY;
ALTER TABLE installation ENABLE ROW LEVEL SECURITY;
ALTER TABLE claimed_folders ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE workers ENABLE ROW LEVEL SECURITY;
ALTER TABLE rate_counters ENABLE ROW LEVEL SECURITY;
ALTER TABLE months_of_film ENABLE ROW LEVEL SECURITY;
ALTER TABLE deleted_bytes ENABLE ROW LEVEL SECURITY;
ALTER TABLE slot_holders ENABLE ROW LEVEL SECURITY;
ALTER TABLE held_slots ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
