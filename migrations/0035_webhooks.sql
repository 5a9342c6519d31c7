-- Who is told of what happens, by requests of ours; see docs/webhooks.md and owe_webhooks() in functions.sql.

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
ALTER TABLE webhook_endpoints ENABLE ROW LEVEL SECURITY;

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
ALTER TABLE webhook_secrets ENABLE ROW LEVEL SECURITY;

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
ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
