"""Pure decisions: ladder, chunks, stage bands, ETA, manifests. No I/O, no clock."""
