"""What players and people are given: manifests, text tracks, encryption tags, downloads, the receipt. Pure."""
