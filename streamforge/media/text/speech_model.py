"""Where a speech model lies: `python -m streamforge.media.text.speech_model NAME [--download]` prints its folder.

A program of its own, not a media child: it may ask the Hugging Face Hub, with the operator's token and proxies, and a process
that has a network must never have somebody's video, too.
"""

import sys
from pathlib import Path


def main(name: str, *options: str) -> None:
    """Ends with the hub's own error, of which it has one for each misspelt name, missing network and full disk."""
    from faster_whisper.utils import download_model  # noqa: PLC0415 - whoever looks for tasks imports every module here

    folder = download_model(name, local_files_only="--download" not in options)
    sys.stdout.write(str(Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
