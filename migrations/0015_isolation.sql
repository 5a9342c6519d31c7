-- Who belongs to nobody sees nothing: tables are open to their owner, who runs the migrations, and to the roles of
-- roles.sql as far as its policies let them. Versions before this one connect as the owner, and are not held up.

ALTER TABLE owners ENABLE ROW LEVEL SECURITY;
ALTER TABLE batches ENABLE ROW LEVEL SECURITY;
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE part_progress ENABLE ROW LEVEL SECURITY;
ALTER TABLE arrivals ENABLE ROW LEVEL SECURITY;
ALTER TABLE installation ENABLE ROW LEVEL SECURITY;
ALTER TABLE claimed_folders ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;

-- Administrators list the jobs of all owners.
CREATE INDEX jobs_newest_of_all ON jobs (created_at DESC, id DESC);

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
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
