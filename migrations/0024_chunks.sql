-- How far each piece of a film is, who works on it, and what it came to.

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
ALTER TABLE job_chunks ENABLE ROW LEVEL SECURITY;
