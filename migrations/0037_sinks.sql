-- Events go out to brokers; how far each of these is.

CREATE TABLE sinks (
    name      text PRIMARY KEY,
    began_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE sinks IS 'brokers that events went out to; see streamforge.sinks';
ALTER TABLE sinks ENABLE ROW LEVEL SECURITY;

CREATE TABLE sink_positions (
    sink   text NOT NULL REFERENCES sinks ON DELETE CASCADE,
    owner  text NOT NULL,
    seq    bigint NOT NULL,
    PRIMARY KEY (sink, owner)
);
COMMENT ON COLUMN sink_positions.seq IS 'all events of the owner up to this number are there; no row = none is';
ALTER TABLE sink_positions ENABLE ROW LEVEL SECURITY;
