"""Signed streams play in every player without its knowing, and nowhere without the signature or after its time."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from browser import missing
from factories import PROCESSING, new_job
from playback import decode, ffmpeg_decodes
from player import HLS, KINDS, Cinema
from playwright.async_api import Browser
from serving import Api, serving
from streams import Stream, Streams
from test_players import DULL, RATE, assert_undisturbed, assert_whole

from streamforge.access.secret import InstallationSecret, Purpose
from streamforge.access.signatures import Signatures, SignedAddresses
from streamforge.api import playback
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.events.log import EventLog
from streamforge.settings import PlaybackSettings
from streamforge.storage import layout

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROTECTED = [
    *(("AES-128", player) for player in ("hls.js", "shaka-player HLS")),
    *(("cbcs", player) for player in ("hls.js", "shaka-player DASH", "dash.js")),
]
ONE_OF_EACH = pytest.mark.parametrize("player_name", ["hls.js", "shaka-player DASH", "dash.js"])
NOBODY = 65534


@dataclass(frozen=True)
class SignedStream(Stream):
    """The same under addresses with a signature."""

    addresses: SignedAddresses

    @property
    def license(self) -> str | None:
        return str(self.addresses.of(super().license)) if super().license else None

    def path(self, manifest: str) -> str:
        return str(self.addresses.of(super().path(manifest)))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def signing_api(api: Api) -> AsyncIterator[Api]:
    """Of the same installation, where every stream is signed."""
    async with serving(api.settings.model_copy(update={"playback": PlaybackSettings(mode="signed")})) as signing:
        yield signing


@pytest.fixture
def signing_cinema(browser: Browser, players_site: str, signing_api: Api) -> Cinema:
    return Cinema(browser, players_site, signing_api.url)


def signed(api: Api, stream: Stream, *, seconds: float = 60) -> SignedStream:
    signatures = Signatures(InstallationSecret(api.settings).key(Purpose.PLAYBACK))
    addresses = SignedAddresses(signatures, stream.job_id, int(time.time() + seconds))
    return SignedStream(stream.job_id, stream.presentation, addresses)


# ── with one ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("name", "player_name"), [*PROTECTED, ("four chunks", "native HLS")])
async def test_plays_from_start_to_end_with_its_keys(
    signing_cinema: Cinema, signing_api: Api, streams: Streams, name: str, player_name: str
) -> None:
    stream = signed(signing_api, await streams.get(name))
    async with signing_cinema.showing(stream, KINDS[player_name]) as player:
        await player.play_to_end(RATE)
        contrast, report = await player.contrast(), await player.report()
    assert_undisturbed(report)
    assert_whole(report, stream)
    assert report.ended
    assert contrast > DULL
    assert report.soundBytes > 10_000


@ONE_OF_EACH
async def test_stops_when_its_time_is_over_and_goes_on_with_a_fresh_one(
    signing_cinema: Cinema, signing_api: Api, streams: Streams, player_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = await streams.get("four chunks")
    await with_a_row(signing_api, plain)
    async with signing_cinema.showing(signed(signing_api, plain), KINDS[player_name], renewable=True) as player:
        monkeypatch.setattr(playback, "time", lambda: time.time() + 3600)
        await player.play_until_refused(RATE)
        stopped = await player.report()
        answer = await signing_api.http.post(f"/jobs/{plain.job_id}/playback/refresh")
        await player.go_on(answer.json()["hls"].split("/")[3])
        await player.play_on()
        report = await player.report()
    assert any(complaint.startswith("403 for") for complaint in stopped.complaints)
    assert max(end for _, end in stopped.buffered) < plain.source.duration - 1
    assert report.ended
    assert report.lastFrame == pytest.approx(plain.source.duration, abs=0.15)


async def with_a_row(api: Api, stream: Stream) -> None:
    """As the job that made it would have left one."""
    database = await Database.open(str(api.settings.database.dsn))
    try:
        job = new_job(id=stream.job_id)
        await Jobs(database).of(EVERYONE).create(job, progress=5, message="File received")
        playable = JobChange(
            stage=Stage.TRANSCODING,
            message="Playable",
            playback=layout.playback(stream.job_id, stream.presentation.plan),
        )
        for change in (PROCESSING, playable):
            await EventLog(database).append(stream.job_id, change)
    finally:
        await database.close()


# ── without ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@ONE_OF_EACH
@pytest.mark.parametrize("status", [404, 403])
async def test_plays_nothing_without_one_or_with_one_that_is_over(
    signing_cinema: Cinema, signing_api: Api, streams: Streams, player_name: str, status: int
) -> None:
    stream = await streams.get("four chunks")
    shown = stream if status == 404 else signed(signing_api, stream, seconds=-1)
    report = await signing_cinema.turned_away(shown, KINDS[player_name], status)
    assert (report.firstFrame, report.time, report.soundBytes) == (None, 0, 0)


# ── without a browser ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_ffmpeg_plays_it(signing_api: Api, streams: Streams) -> None:
    for name, manifest in (("AES-128", HLS), ("four chunks", "manifest.mpd")):
        stream = await streams.get(name)
        found = await ffmpeg_decodes(signing_api.url + signed(signing_api, stream).path(manifest))
        assert found == {"frames": stream.presentation.video[0].encoded.frames}
        for refused in (stream, signed(signing_api, stream, seconds=-1)):
            with pytest.raises(AssertionError, match=r"Server returned 40[34]|HTTP error 40[34]"):
                await ffmpeg_decodes(signing_api.url + refused.path(manifest))


TRIES_OF_VLC = 3
"""It keeps to the clock on the wall, and leaves out what a busy machine brings too late."""


async def test_vlc_plays_it(signing_api: Api, streams: Streams, tmp_path: Path) -> None:
    stream = await streams.get("AES-128")
    played, counts = tmp_path / "played.ts", []
    # When there is no more, it keeps the last picture to itself.
    expected = stream.presentation.video[0].encoded.frames - 1
    for _ in range(TRIES_OF_VLC):
        played.write_bytes(await vlc(signing_api.url + signed(signing_api, stream).path(HLS)))
        counts.append((await asyncio.to_thread(decode, played)).frame_count)
        if counts[-1] >= expected:
            break
    assert counts[-1] >= expected, counts
    assert await vlc(signing_api.url + stream.path(HLS)) == b""


async def vlc(url: str) -> bytes:
    """What it plays, written down instead of shown. It refuses to be run by root."""
    if shutil.which("cvlc") is None:
        missing("There is no VLC here: apt-get install vlc-bin vlc-plugin-base")
    command = ["cvlc", "-q", "--adaptive-logic=highest", "--sout", "#std{access=file,mux=ts,dst=-}", url, "vlc://quit"]
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, check=False, timeout=150, cwd="/", **who
    )
    return bytes(done.stdout)
