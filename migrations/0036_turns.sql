-- What the API owes a workflow, in the order in which it is started: by priority, and of each owner the oldest. It serves the
-- query of the version before, too, which had another index for it.

CREATE INDEX jobs_to_launch ON jobs (priority, owner, created_at, id)
    WHERE launched_at IS NULL AND status IN ('pending', 'processing') AND cancel_requested_at IS NULL AND paused_at IS NULL;
DROP INDEX jobs_unlaunched;
CREATE INDEX jobs_by_end_of_an_owner ON jobs (owner, completed_at DESC) WHERE completed_at IS NOT NULL;
