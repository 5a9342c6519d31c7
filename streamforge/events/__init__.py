"""The event log of jobs, and how it reaches whoever watches.

log          append events together with what they change; read what came after
reporter     a worker's side: coalesced progress, state changes that are never lost
frames       events as they travel, each made once
sources      what can be followed: a job, a batch, everything of an owner
broadcaster  one process's fan-out from LISTEN to any number of clients
clients      one connection's end of it: straight to the socket, a queue only while that is backed up
stream       the sequence of frames that one client sees
"""
