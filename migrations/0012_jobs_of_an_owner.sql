-- Lists are of one owner: a page of theirs is found without looking at everybody's.

DROP INDEX jobs_newest;
CREATE INDEX jobs_newest ON jobs (owner, created_at DESC, id DESC);
