-- What was answered to a POST that names itself: asked again, it is answered the same, and done once.

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
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
