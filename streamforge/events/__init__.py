"""The event log of jobs, and how it reaches whoever watches.

log          append one event together with what it changes; read what came after
reporter     a worker's side: coalesced progress, state changes that are never lost
frames       events as bytes of text/event-stream
broadcaster  one process's fan-out from LISTEN to any number of streams
stream       the sequence of frames that one client sees
"""
