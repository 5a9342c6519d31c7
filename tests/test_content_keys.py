"""Keys come from one secret, are the same wherever that is, and are shown by nothing."""

import stat
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streamforge.contracts.keys import ContentKey
from streamforge.contracts.media.plan import Protection
from streamforge.errors import InvalidSettings
from streamforge.keys import Keys, derive
from streamforge.settings import KeySettings, Settings

JOB = UUID("550e8400-e29b-41d4-a716-446655440000")
SECRET = "0123456789abcdef0123456789abcdef"


def keys_in(folder: Path, **settings: str) -> Keys:
    return Keys(Settings(data_dir=folder, keys=KeySettings.model_validate(settings)))


def test_a_key_is_what_hkdf_makes_of_secret_job_and_track() -> None:
    info = b"streamforge content key 1 " + JOB.bytes + b"video"
    material = HKDF(SHA256(), 32, salt=None, info=info).derive(SECRET.encode())
    assert derive(SECRET.encode(), JOB, "video") == ContentKey(value=material[:16], key_id=material[16:].hex())


def test_jobs_tracks_and_secrets_all_have_keys_of_their_own() -> None:
    found = [
        derive(secret, job, track)
        for secret in (b"one", b"two")
        for job in (JOB, uuid4())
        for track in ("video", "audio")
    ]
    assert len({key.value for key in found} | {bytes.fromhex(key.key_id) for key in found}) == 2 * len(found)


def test_a_secret_is_made_once_where_none_is_set_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first, second = keys_in(tmp_path / "data"), keys_in(tmp_path / "data")
    assert first.of_job(JOB) == second.of_job(JOB) == first.known(JOB)
    [file] = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == 32
    assert keys_in(tmp_path / "elsewhere").of_job(JOB) != first.of_job(JOB)


def test_who_only_looks_makes_no_secret(tmp_path: Path) -> None:
    assert keys_in(tmp_path).known(JOB) == {}
    assert list(tmp_path.iterdir()) == []


def test_with_the_same_secret_every_machine_has_the_same_keys(tmp_path: Path) -> None:
    here, there = (keys_in(tmp_path / name, secret=SECRET) for name in ("here", "there"))
    assert here.of_job(JOB) == there.known(JOB)


def test_a_worker_with_another_secret_notices_and_says_what_to_set(tmp_path: Path) -> None:
    planner, other = keys_in(tmp_path / "one"), keys_in(tmp_path / "two")
    key_ids = {track_type: key.key_id for track_type, key in planner.of_job(JOB).items()}
    protection = Protection(scheme="cbcs", key_ids=key_ids)
    assert planner.for_track(JOB, protection, "audio") == planner.of_job(JOB)["audio"]
    with pytest.raises(InvalidSettings, match="STREAMFORGE_KEYS__SECRET"):
        other.for_track(JOB, protection, "audio")


def test_a_job_that_is_not_protected_needs_no_secret(tmp_path: Path) -> None:
    assert keys_in(tmp_path).for_track(JOB, None, "video") is None
    assert list(tmp_path.iterdir()) == []


def test_keys_are_asked_for_on_this_api_or_where_the_settings_say(tmp_path: Path) -> None:
    assert keys_in(tmp_path).folder_url(JOB) == f"/keys/{JOB}"
    assert keys_in(tmp_path, url="https://tv.example/").folder_url(JOB) == f"https://tv.example/keys/{JOB}"


def test_a_key_and_its_secret_are_not_in_what_is_printed() -> None:
    key = derive(SECRET.encode(), JOB, "video")
    assert key.key_id in repr(key)
    assert repr(key.value) not in repr(key)
    assert key.value.hex() not in repr(key)
    assert SECRET not in repr(KeySettings.model_validate({"secret": SECRET}))


def test_a_key_survives_the_way_to_a_child() -> None:
    key = derive(SECRET.encode(), JOB, "video")
    assert ContentKey.model_validate_json(key.model_dump_json()) == key
