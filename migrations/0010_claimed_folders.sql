-- Which folders are stores of ours. One that comes up empty later is not a new store: its disk is not mounted.

CREATE TABLE claimed_folders (
    url         text PRIMARY KEY,
    claimed_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE claimed_folders IS 'folders in which the mark of this installation was seen, as file:// URLs';
