-- Who may ask: API keys, and sessions of browsers. Looked up before it is known whose they are.

CREATE TABLE api_keys (
    prefix        text PRIMARY KEY CHECK (prefix ~ '^sf_[a-z2-7]{8}$'),
    hash          bytea NOT NULL,
    owner         text NOT NULL CHECK (owner ~ '^[A-Za-z0-9_.@+-]{1,128}$'),
    scopes        text[] NOT NULL CHECK (scopes <@ '{submit,read,admin}' AND cardinality(scopes) > 0),
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
    scopes      text[] NOT NULL CHECK (scopes <@ '{submit,read,admin}'),
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
