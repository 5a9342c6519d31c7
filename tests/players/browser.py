"""A real browser with the real players, or a sentence that says how to get them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

HERE = Path(__file__).parent
PLAYERS = HERE / "node_modules"
REQUIRED = os.environ.get("TEST_BROWSER") == "required"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

# Pages of the browser's own that it would load for every window: a third of what a test took. The last list counts, so
# what Playwright itself turns off for its own sake is in it, too.
WITHOUT = [
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "AimEnabled",
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "PreconnectToSearch",
]  # fmt: skip

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    f"--disable-features={','.join(WITHOUT)}",
]


def chromium_path() -> str:
    for name in CHROMIUM_NAMES:
        if found := shutil.which(name):
            return found
    return missing("There is no Chromium here to play streams in: apt-get install chromium nodejs npm")


def install_players() -> None:
    """Exactly what package-lock.json names; done again only when that changes."""
    lock = sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = PLAYERS / ".installed"
    if stamp.exists() and stamp.read_text() == lock:
        return
    if shutil.which("npm") is None:
        missing("There is no npm here to fetch the players with: apt-get install chromium nodejs npm")
    command = ["npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"npm could not fetch the players: {done.stderr.strip()[-500:]}")
    stamp.write_text(lock)


def missing(sentence: str) -> str:
    if REQUIRED:
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@contextmanager
def site() -> Iterator[str]:
    """The pages of this folder and the players, on an origin of their own: streams come from another one."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(HERE)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Files(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        return super().translate_path(path.replace("/players/", "/node_modules/", 1))

    def log_message(self, *_: object) -> None:
        pass
