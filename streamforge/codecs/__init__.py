"""What is particular to an encoder: its options, its formats, its limits. Pure: nothing here encodes."""
