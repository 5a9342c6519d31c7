-- How far each rendition is, and how fast: kept with the part that encodes it.

ALTER TABLE part_progress
    ADD COLUMN renditions  jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN updated_at  timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN part_progress.renditions IS '{"720p": {"frames": done, "fps": now, or null when its encoder is not at work}}';

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

CREATE FUNCTION rendition_progress(job jobs) RETURNS jsonb STABLE LANGUAGE sql AS $$
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
