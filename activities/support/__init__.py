"""What activities stand on: originals on disk, the fenced store, heartbeats, memory, records of finished work."""
