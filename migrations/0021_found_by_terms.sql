-- Lists of jobs can be asked for by what jobs are called, by what their senders gave them, and by where they are. Each of these
-- is an equality that row-level security lets an index answer: `@>`, `@@` and LIKE are not (they are not LEAKPROOF).

CREATE TABLE job_terms (
    term        uuid NOT NULL,
    owner       text NOT NULL,
    created_at  timestamptz NOT NULL,
    job_id      uuid NOT NULL,
    PRIMARY KEY (term, owner, created_at, job_id)
);
COMMENT ON TABLE job_terms IS 'what jobs are found by: digests of their keys, words of these, external ids and metadata; see terms_of() in functions.sql';
ALTER TABLE job_terms ENABLE ROW LEVEL SECURITY;

-- As terms_of() has it.
INSERT INTO job_terms (term, owner, created_at, job_id)
SELECT md5('key:' || key)::uuid, owner, created_at, id FROM jobs
UNION
SELECT md5('external_id:' || external_id)::uuid, owner, created_at, id FROM jobs WHERE external_id IS NOT NULL
UNION
SELECT md5('word:' || word)::uuid, owner, created_at, id
FROM jobs, LATERAL (SELECT DISTINCT word FROM regexp_split_to_table(lower(key), '[^a-z0-9\u0080-\U0010ffff]+') AS word
                    WHERE word <> '' ORDER BY word LIMIT 64) AS words
UNION
SELECT md5('metadata:' || jsonb_build_object(name, value)::text)::uuid, owner, created_at, id
FROM jobs, LATERAL (SELECT name, value FROM jsonb_each(CASE jsonb_typeof(metadata) WHEN 'object' THEN metadata ELSE '{}' END) AS each_one (name, value)
                    WHERE jsonb_typeof(value) NOT IN ('object', 'array') ORDER BY name LIMIT 64) AS pairs;

CREATE INDEX jobs_by_status ON jobs (owner, status, created_at DESC, id DESC);
CREATE INDEX jobs_by_status_of_all ON jobs (status, created_at DESC, id DESC);
CREATE INDEX jobs_by_stage ON jobs (owner, stage, created_at DESC, id DESC) WHERE status IN ('uploading', 'pending', 'processing');
