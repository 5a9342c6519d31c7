-- How much film is processed for whom in a month (UTC). The sums stay when jobs and their rows go.

CREATE TABLE months_of_film (
    owner    text NOT NULL,
    month    date NOT NULL CHECK (extract(day FROM month) = 1),
    seconds  double precision NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (owner, month)
);
COMMENT ON TABLE months_of_film IS 'what was processed for an owner, together with what is being processed; see count_film()';
ALTER TABLE months_of_film ENABLE ROW LEVEL SECURITY;

ALTER TABLE jobs ADD COLUMN counted_seconds double precision, ADD COLUMN counted_month date;
COMMENT ON COLUMN jobs.counted_seconds IS 'what the job is in months_of_film with; null = it is not in there';
