-- How many streams and uploads go on at once, in which process. Not logged: after a crash each process tells all of it again.

CREATE UNLOGGED TABLE slot_holders (
    id          uuid PRIMARY KEY,
    renewed_at  timestamptz NOT NULL
);
COMMENT ON TABLE slot_holders IS 'processes that live; see streamforge.access.slots';
ALTER TABLE slot_holders ENABLE ROW LEVEL SECURITY;

CREATE UNLOGGED TABLE held_slots (
    name    text NOT NULL,
    holder  uuid NOT NULL REFERENCES slot_holders ON DELETE CASCADE,
    held    integer NOT NULL CHECK (held > 0),
    PRIMARY KEY (name, holder)
);
COMMENT ON TABLE held_slots IS 'how many of what a process holds';
CREATE INDEX held_slots_of_a_holder ON held_slots (holder);
ALTER TABLE held_slots ENABLE ROW LEVEL SECURITY;
