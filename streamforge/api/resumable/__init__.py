"""Uploads that can be resumed: the tus protocol 1.0.0 (https://tus.io/protocols/resumable-upload)."""
