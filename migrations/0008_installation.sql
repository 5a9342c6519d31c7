-- Who this is, to whoever else writes into the same store.

CREATE TABLE installation (
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton)
);
COMMENT ON TABLE installation IS 'one row: all that work on this database are one installation';
INSERT INTO installation DEFAULT VALUES;
