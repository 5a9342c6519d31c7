"""The secret of an installation, and the keys that are derived from it."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamforge.access.secret import FILE_NAME, InstallationSecret, Purpose
from streamforge.api.http.server import running
from streamforge.errors import InvalidSettings
from streamforge.settings import AuthSettings, Settings


def secret(data_dir: Path, **auth: object) -> InstallationSecret:
    return InstallationSecret(Settings(data_dir=data_dir, auth=AuthSettings(**auth)))  # type: ignore[arg-type]


def test_each_purpose_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = {secret(tmp_path, secret="x" * 32).key(purpose) for purpose in Purpose}
    assert len(keys) == len(Purpose)
    assert {len(key) for key in keys} == {32}


def test_one_is_made_in_the_data_folder_for_its_owner_only(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret(tmp_path).key(Purpose.TICKETS), range(8)))
    assert len(found) == 1
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_file_says_the_same_as_the_setting(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x" * 32 + "\n")
    in_file = secret(tmp_path, secret_file=tmp_path / "secret")
    assert in_file.key(Purpose.API_KEYS) == secret(tmp_path, secret="x" * 32).key(Purpose.API_KEYS)


@pytest.mark.parametrize(("content", "sentence"), [(None, "cannot be read"), ("short\n", "less than 32 characters")])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: str | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
    with pytest.raises(InvalidSettings, match=rf"auth\.secret_file .*{sentence}"):
        secret(tmp_path, secret_file=tmp_path / "secret").key(Purpose.API_KEYS)


async def test_an_api_that_could_not_read_it_does_not_start(settings: Settings, tmp_path: Path) -> None:
    """And does not find that out from its first caller."""
    auth = AuthSettings(required=True, secret_file=tmp_path / "none")
    with pytest.raises(InvalidSettings, match="cannot be read"):
        async with running(settings.model_copy(update={"auth": auth})):
            pass
