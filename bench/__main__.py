"""`python -m bench [--list] [NAME …]`"""

import importlib
import sys

BENCHES = {
    "startup": "`streamforge up`, from nothing and on an existing data folder",
    "sandbox": "what it costs a media child to be confined",
    "small_job": "POST → completed of a 4-s 176×144 clip, stage by stage",
    "upload_memory": "memory of the API while 4 GiB come in",
    "uploads": "uploads by POST /process and by tus against nginx's own PUT",
    "playable": "upload done → the first seconds can be played, for 10 s, 10 min and 2 h",
    "chunk_cuts": "pictures decoded in vain at cuts between two key frames of the source",
    "kills": "`kill -9` at 20 random moments of a job",
    "two_workers": "one job on two one-core workers ÷ on one",
    "twelve_hours": "manifests of a film of twelve hours: CPU, how it grows, how long the event loop stands still",
    "memory_4k": "memory of a worker while it processes 4K",
    "shaka": "a whole job against Shaka Streamer: CPU, wall, quality at equal bit rate",
    "pictures": "poster, thumbnails and sprite sheets: a job with them ÷ without",
    "vmaf_sampling": "sampled against full VMAF: accuracy and cost",
    "captions": "captions from speech: times real time on two cores, and what they cost the job beside them",
    "eta": "how long a job still takes: how often the interval held",
    "per_title": "per-title encoding against the fixed ladder: bits at equal VMAF, cost of the search",
    "codecs": "HEVC and AV1 against H.264: bits at equal VMAF, CPU",
    "observed": "what metrics, traces and log files cost a small job",
    "fanout": "events to 1,000 clients: CPU, latency, memory, replay; beside sse-starlette and Nchan",
    "log_rows": "rows a second into the log, 8 writers",
    "sinks": "events a second from the log to Redis and NATS",
    "listing": "`GET /jobs` of a million jobs: each filter, page by page",
    "event_loop": "how long the event loop of the API stands still for the largest answers",
    "queue": "what is asked while jobs wait, with ten of them and with ten thousand",
    "access": "what isolation of owners costs on GET /jobs/<id>",
    "soak": "two hours of mixed load: what grows (`make soak`)",
    "whole_job": "CPU of a whole job ÷ CPU of the bare encode of its ladder",
}

TAKES_HOURS = "soak"
"""Only when it is asked for by name."""


def main() -> None:
    wanted = sys.argv[1:] or [name for name in BENCHES if name != TAKES_HOURS]
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        for name, what in BENCHES.items():
            print(f"{name:<15} {what}")
        sys.exit(0 if unknown == ["--list"] else f"no such bench: {', '.join(unknown)}")
    for name in wanted:
        print(f"\n── {name}: {BENCHES[name]}")
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
