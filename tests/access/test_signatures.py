"""Signatures in paths: each opens one job until one moment, and whatever is changed in it, it opens nothing."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from streamforge.access.signatures import (
    EXPIRES_TOGETHER,
    Opens,
    Signatures,
    SignedAddresses,
    expiry_of,
    without_signatures,
)
from streamforge.errors import PlaybackExpired, PlaybackRefused

SIGNATURES = Signatures(b"k" * 32)
JOB = UUID("550e8400-e29b-41d4-a716-446655440000")
NOW = 1_800_000_000.0
MOMENTS = st.integers(1, 10**11 - 1)
WORDS = st.sampled_from(Opens)
jobs = st.uuids()


@given(WORDS, jobs, MOMENTS)
def test_it_opens_what_it_was_made_for_until_its_moment(opens: Opens, job: UUID, expires: int) -> None:
    segment = SIGNATURES.segment(opens, job, expires)
    assert SIGNATURES.expiry(segment, opens, job, expires - 1) == expires
    with pytest.raises(PlaybackExpired):
        SIGNATURES.expiry(segment, opens, job, expires)


@given(WORDS, jobs, MOMENTS)
def test_a_proxy_has_nothing_to_rewrite_in_it(opens: Opens, job: UUID, expires: int) -> None:
    unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    assert set(SIGNATURES.segment(opens, job, expires)) <= set(unreserved)


@given(WORDS, jobs, MOMENTS, WORDS, jobs, MOMENTS)
@example(Opens.MEDIA, JOB, 1, Opens.KEYS, JOB, 1)
def test_it_opens_no_other_job_no_other_thing_and_no_other_time(
    opens: Opens, job: UUID, expires: int, other_opens: Opens, other_job: UUID, other_expires: int
) -> None:
    assume((opens, job, expires) != (other_opens, other_job, other_expires))
    segment = SIGNATURES.segment(opens, job, expires)
    signature = segment.split("-", 2)[2]
    if (opens, job) != (other_opens, other_job):
        with pytest.raises(PlaybackRefused):
            SIGNATURES.expiry(segment, other_opens, other_job, 0)
    with pytest.raises(PlaybackRefused):
        SIGNATURES.expiry(f"~1-{other_expires}-{signature}", other_opens, other_job, 0)


@given(MOMENTS, st.data())
def test_one_character_changed_dropped_or_added_is_refused(expires: int, data: st.DataObject) -> None:
    segment = SIGNATURES.segment(Opens.MEDIA, JOB, expires)
    at = data.draw(st.integers(0, len(segment)))
    text = data.draw(st.text(max_size=1))
    changed = segment[:at] + text + segment[at + data.draw(st.integers(0, 1)) :]
    assume(changed != segment)
    with pytest.raises(PlaybackRefused):
        SIGNATURES.expiry(changed, Opens.MEDIA, JOB, 0)


@given(st.integers(0, 255))
def test_one_bit_changed_is_refused(bit: int) -> None:
    """Also where another text would stand for the same 32 bytes."""
    segment = SIGNATURES.segment(Opens.MEDIA, JOB, int(NOW))
    at = bit % 43
    changed = segment[: -43 + at] + chr(ord(segment[-43 + at]) ^ (1 << bit % 7)) + segment[len(segment) - 43 + at + 1 :]
    with pytest.raises(PlaybackRefused):
        SIGNATURES.expiry(changed, Opens.MEDIA, JOB, 0)


def test_another_key_is_another_signature() -> None:
    with pytest.raises(PlaybackRefused):
        Signatures(b"l" * 32).expiry(SIGNATURES.segment(Opens.MEDIA, JOB, int(NOW) + 9), Opens.MEDIA, JOB, NOW)


@given(st.text())
@example("~1-01800000000-" + "A" * 43)
@example("~2-1800000000-" + "A" * 43)
@example("~1-1800000000-")
@example("~1-١٨٠٠٠٠٠٠٠٠-" + "A" * 43)
@example("~")
def test_what_is_no_signature_is_refused_whatever_it_is(text: str) -> None:
    with pytest.raises(PlaybackRefused):
        SIGNATURES.expiry(text, Opens.MEDIA, JOB, NOW)


@given(st.floats(0, 1e10), st.integers(1, 31_536_000))
def test_an_address_lives_as_long_as_was_asked_for_or_little_less(now: float, lifetime: int) -> None:
    left = expiry_of(now, lifetime) - now
    assert lifetime - max(1, lifetime / EXPIRES_TOGETHER) - 1e-5 <= left <= lifetime + 1e-5


def test_who_asks_again_soon_is_given_the_same_address() -> None:
    assert {expiry_of(NOW + second, 43_200) for second in range(3600)} == {NOW + 43_200}
    assert expiry_of(NOW + 3600, 43_200) == NOW + 46_800


# ── of a job, wherever they stand ───────────────────────────────────────────────────────────────────────────────────
ADDRESSES = SignedAddresses(SIGNATURES, JOB, int(NOW))
MEDIA_SEGMENT = SIGNATURES.segment(Opens.MEDIA, JOB, int(NOW))
KEYS_SEGMENT = SIGNATURES.segment(Opens.KEYS, JOB, int(NOW))


@pytest.mark.parametrize(
    ("plain", "signed"),
    [
        (f"/media/{JOB}/master.m3u8", f"/media/{JOB}/{MEDIA_SEGMENT}/master.m3u8"),
        (f"/media/{JOB}/downloads/720p.mp4", f"/media/{JOB}/{MEDIA_SEGMENT}/downloads/720p.mp4"),
        (f"/keys/{JOB}/license", f"/keys/{JOB}/{KEYS_SEGMENT}/license"),
        (f"https://keys.example/x/keys/{JOB}/license", f"https://keys.example/x/keys/{JOB}/{KEYS_SEGMENT}/license"),
        (f"see /keys/{JOB}/license", f"see /keys/{JOB}/license"),
        (f"/media/{UUID(int=1)}/master.m3u8", f"/media/{UUID(int=1)}/master.m3u8"),
        ({"a": [f"/media/{JOB}/x", 1, None]}, {"a": [f"/media/{JOB}/{MEDIA_SEGMENT}/x", 1, None]}),
    ],
)
def test_addresses_of_the_job_and_nothing_else_are_signed(plain: Any, signed: Any) -> None:
    assert ADDRESSES.of(plain) == signed


def test_a_manifest_names_keys_with_a_signature_of_their_own() -> None:
    manifest = f'#EXT-X-KEY:METHOD=AES-128,URI="https://k.example/keys/{JOB}/00ff",IV=0x00\nsegment.m4s\n'
    signed = f'#EXT-X-KEY:METHOD=AES-128,URI="https://k.example/keys/{JOB}/{KEYS_SEGMENT}/00ff",IV=0x00\nsegment.m4s\n'
    assert ADDRESSES.in_manifest(manifest.encode()).decode() == signed


# ── in logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@given(st.lists(st.booleans(), min_size=len(MEDIA_SEGMENT) + 1, max_size=len(MEDIA_SEGMENT) + 1))
def test_no_line_of_a_log_has_a_signature_however_it_was_encoded(encoded: list[bool]) -> None:
    text = f"/{MEDIA_SEGMENT}"
    path = "".join(f"%{ord(char):02x}" if hide else char for char, hide in zip(text, encoded, strict=True))
    assert without_signatures(f"/media/{JOB}{path}/720p/0.m4s") == f"/media/{JOB}/~/720p/0.m4s"


def test_other_paths_stand_in_the_log_as_they_came() -> None:
    for path in ("/jobs/%0d%0aX", "/media/x/%ff%20y", "/"):
        assert without_signatures(path) == path
    assert without_signatures("/a%0a/~1-2-3/%0d") == "/a%0A/~/%0D"
