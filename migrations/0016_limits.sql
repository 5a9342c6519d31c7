-- How often somebody has asked within a window that all APIs share. Not logged: after a crash everybody begins anew.

CREATE UNLOGGED TABLE rate_counters (
    key      text PRIMARY KEY,
    hits     bigint NOT NULL,
    ends_at  timestamptz NOT NULL
);
COMMENT ON TABLE rate_counters IS 'see streamforge.access.rates';
CREATE INDEX rate_counters_by_end ON rate_counters (ends_at);
ALTER TABLE rate_counters ENABLE ROW LEVEL SECURITY;
