"""Settings: the file, the environment over it, and errors that name the key."""

import os
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from streamforge.errors import InvalidSettings
from streamforge.settings import Settings, load, variable

SHIPPED = Path(__file__).parent.parent / "config.yaml"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What whoever runs the tests has set must not decide them."""
    for name in os.environ:
        if name.upper().startswith("STREAMFORGE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path: Path):
    """Writes a settings file; gives its path."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def keys(content: dict[str, object]) -> dict[str, object]:
    return {key: sorted(value) if isinstance(value, dict) else None for key, value in content.items()}


# ── the shipped file ────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_shipped_file_says_what_the_defaults_are() -> None:
    assert load(SHIPPED) == Settings()


def test_the_shipped_file_shows_every_setting() -> None:
    assert keys(yaml.safe_load(SHIPPED.read_text())) == keys(Settings().model_dump())


def test_the_numbers_of_the_wire_contract_are_the_defaults() -> None:
    settings = Settings()
    assert settings.server.port == 8081
    assert (settings.retention.days, settings.retention.sweep_every_hours) == (7, 24)
    assert settings.validation.min_score == 80
    assert settings.server.heartbeat_seconds <= 30


# ── which file ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_without_a_file_the_defaults_hold() -> None:
    assert load() == Settings()


def test_a_gpu_is_turned_off_by_the_word_that_yaml_takes_for_false(config) -> None:
    assert load(config("worker: {gpu: off}")).worker.gpu == "off"


def test_config_yaml_in_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("server: {port: 9000}")
    assert load().server.port == 9000


def test_the_environment_may_name_another_file(config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yaml").write_text("server: {port: 9000}")
    monkeypatch.setenv("STREAMFORGE_CONFIG", str(config("server: {port: 9001}")))
    assert load().server.port == 9001


def test_a_file_that_is_asked_for_goes_before_the_one_in_the_environment(
    config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMFORGE_CONFIG", str(tmp_path / "nothing.yaml"))
    assert load(config("server: {port: 9001}")).server.port == 9001


def test_a_named_file_that_is_not_there_is_an_error_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMFORGE_CONFIG", "/nowhere/settings.yaml")
    with pytest.raises(InvalidSettings, match=r"/nowhere/settings\.yaml"):
        load()


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}"])
def test_an_empty_file_is_no_settings(config, text: str) -> None:
    assert load(config(text)) == Settings()


@pytest.mark.parametrize("text", ["- a\n- list\n", "just words", "server: [", b"\xff\xfe\x00", "a: b: c"])
def test_a_file_that_holds_something_else_is_an_error_with_its_name(config, text: str | bytes) -> None:
    path = config(text)
    with pytest.raises(InvalidSettings, match=re.escape(str(path))):
        load(path)


# ── the environment ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_environment_overrides_one_key_and_leaves_its_neighbours(config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMFORGE_TRANSCODE__PRESETS__H264", "fast")
    settings = load(config("transcode: {presets: {h264: slow}, codecs: [hevc]}"))
    assert (settings.transcode.presets.h264, settings.transcode.codecs) == ("fast", ["hevc"])


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("STREAMFORGE_DATA_DIR", "/srv/streamforge", lambda s: s.data_dir == Path("/srv/streamforge")),
        ("STREAMFORGE_SERVER__PORT", "80", lambda s: s.server.port == 80),
        ("STREAMFORGE_VALIDATION__ENABLED", "false", lambda s: s.validation.enabled is False),
        ("STREAMFORGE_TRANSCODE__HEIGHTS", "[720, 360]", lambda s: s.transcode.heights == [720, 360]),
        ("STREAMFORGE_STORAGE__URL", "s3://media/x", lambda s: s.storage.url == "s3://media/x"),
        ("STREAMFORGE_RETENTION__DAYS", "0.5", lambda s: s.retention.days == 0.5),
        (
            "STREAMFORGE_SERVER__TRUSTED_PROXIES",
            '["10.0.0.0/8"]',
            lambda s: "10.0.0.0/8" in map(str, s.server.trusted_proxies),
        ),
    ],
)
def test_a_variable_is_read_as_what_the_setting_is(
    variable: str, value: str, read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert read(load())


# ── profiles ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_profile_changes_what_it_names_and_nothing_else() -> None:
    settings = Settings.model_validate({"profiles": {"default": {}, "small": {"transcode": {"heights": [360]}}}})
    small = settings.for_profile("small")
    assert small.transcode.heights == [360]
    assert small.transcode.model_copy(update={"heights": settings.transcode.heights}) == settings.transcode
    assert small.validation == settings.validation


def test_a_profile_may_change_one_codec_of_a_table() -> None:
    settings = Settings.model_validate({"profiles": {"default": {}, "fine": {"transcode": {"crf": {"h264": 17}}}}})
    assert settings.for_profile("fine").transcode.crf.model_dump() == {"h264": 17, "hevc": 26, "av1": 32}


def test_the_default_profile_is_what_the_settings_say() -> None:
    settings = Settings.model_validate({"transcode": {"codecs": ["av1"]}})
    assert settings.for_profile(None).transcode.codecs == ["av1"]
    assert settings.for_profile("h264").transcode.codecs == ["h264"]


def test_a_profile_that_is_gone_is_an_error_that_names_those_that_are_there() -> None:
    with pytest.raises(InvalidSettings, match="no profile 'gone'; there are audio, av1, default"):
        Settings().for_profile("gone")


@pytest.mark.parametrize(
    ("profiles", "said"),
    [
        ("{default: {}, x: {transcode: {codecs: [theora]}}}", "profiles.x.transcode.codecs.0: must be 'h264'"),
        (
            "{default: {}, x: {transcode: {presets: {h264: warp}}}}",
            "profiles.x.transcode.presets.h264: must be",
        ),
        ("{default: {}, x: {transcode: {presett: fast}}}", "profiles.x.transcode.presett: no such setting"),
        ("{default: {}, x: {server: {port: 1}}}", "profiles.x.server: a profile has the sections"),
        ("{default: {}, x: {transcode: fast}}", "profiles.x.transcode: "),
        ("{x: {}}", "profile: there is no 'default'; profiles has x"),
    ],
)
def test_a_mistake_in_a_profile_names_the_key_and_what_is_allowed(config, profiles: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(config(f"profiles: {profiles}"))
    assert said in caught.value.message


# ── mistakes ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("transcode: {presett: fast}", "transcode.presett: no such setting"),
        ("transkode: {preset: fast}", "transkode: no such setting"),
        ("prot: 80", "prot: no such setting"),
        ("1: 2", "1: no such setting"),
        ("_env_prefix: X", "_env_prefix: no such setting"),
        ("server: {port: eighty}", "server.port: "),
        ("server: {port: 70000}", "server.port: "),
        ("server: 8081", "server: "),
        ("server: {heartbeat_seconds: 31}", "server.heartbeat_seconds: "),
        ("server: {trusted_proxies: [proxy.local]}", "server.trusted_proxies.0"),
        ("transcode: {heights: []}", "transcode.heights: "),
        ("transcode: {heights: [720, tall]}", "transcode.heights.1: "),
        ("transcode: {codecs: [theora]}", "transcode.codecs.0: "),
        ("transcode: {segment_seconds: 0}", "transcode.segment_seconds: "),
        ("per_title: {targets: []}", "per_title.targets: "),
        ("per_title: {targets: [100]}", "per_title.targets.0: "),
        ("per_title: {crf: {vp9: [1, 2]}}", "per_title.crf.vp9: no such setting"),
        ("per_title: {crf: {h264: [36, 16]}}", "per_title.crf: h264 must be [lowest, highest]"),
        ("per_title: {crf: {av1: [16.5, 40]}}", "per_title.crf.av1.0: "),
        ("validation: {min_score: 101}", "validation.min_score: "),
        ("protection: {scheme: rot13}", "protection.scheme: "),
        ("keys: {secret: short}", "keys.secret: "),
        ("keys: {url: tv.example}", "keys.url: "),
        ("protection: {scheme: cbcs}\ntranscode: {codecs: [av1]}", "protection.scheme: cbcs"),
        ("protection: {scheme: cbcs}\nprofile: mixed", "transcode.codecs has av1"),
        ("protection: {scheme: cbcs}\nstorage: {url: 's3://media'}", "keys.secret must be set"),
        ("profiles: {default: {}, x: {keys: {secret: y}}}", "profiles.x.keys: "),
        ("validation: {on_failure: shrug}", "validation.on_failure: "),
        ("retention: {days: -1}", "retention.days: "),
        ("retention: {days: 1e99}", "retention.days: must be at most 36500"),
        ("server: {request_timeout_seconds: .inf}", "server.request_timeout_seconds: must be a number"),
        ("log: {level: loud}", "log.level: "),
    ],
)
def test_a_mistake_in_the_file_is_an_error_that_names_the_key(config, text: str, key: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(config(text))
    assert key in caught.value.message


def every_key(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in section.model_fields.items():
        yield (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from every_key(field.annotation, (*path, name))


@pytest.mark.parametrize("path", list(every_key(Settings)), ids=".".join)
def test_what_is_wrong_is_said_in_words_for_people(config, path: tuple[str, ...]) -> None:
    """Whatever the key and whatever its value: nothing of pydantic, which speaks to programmers."""
    of_pydantic = ("Input", "valid ", "should", "dictionary", "instance", "parse", "after validation", "pydantic", "[")
    for value in ("x", -1, [], [None], ["x"], {}, {"y": 1}, None, 1e99, True, "", [1, 2, 3], 0):
        try:
            load(config(yaml.safe_dump(reduce(lambda inner, key: {key: inner}, reversed(path), value))))
        except InvalidSettings as error:
            message = error.message.removeprefix("Settings are not valid: ")
            assert path[0] in message
            words = message.replace("like [", "")
            assert not [word for word in of_pydantic if word in words], message


@pytest.mark.parametrize(
    "dsn",
    [
        "", "db", "host=db dbname=x", "mysql://u:p@db/x", "postgresql://u:se#cret@db/x", "postgresql://u:se/cret@db/x",
        "postgresql://u:se[cret@db/x", "postgresql://u:secret@db:port/x", "postgresql://u:secret@db:123456/x",
    ],
)  # fmt: skip
def test_a_dsn_that_cannot_be_parsed_is_told_by_its_key_and_never_shown(config, dsn: str) -> None:
    with pytest.raises(InvalidSettings, match=r"database\.dsn: must be like postgresql://") as caught:
        load(config(yaml.safe_dump({"database": {"dsn": dsn}})))
    assert "cret" not in caught.value.message


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p@db:5432/x", "postgres://db", "postgresql://u:%23%2F@[::1]:5432/x?sslmode=require",
        "postgresql://u@a:1,b:2/x?target_session_attrs=any", "postgresql://u@%2Fvar%2Frun/x", "postgresql:///x?host=/tmp",
    ],
)  # fmt: skip
def test_every_form_of_a_dsn_that_libpq_knows_is_taken(config, dsn: str) -> None:
    assert load(config(yaml.safe_dump({"database": {"dsn": dsn}}))).database.dsn == dsn


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server: {port: 1}\nlog: {}\nserver: {host: x}\n", "server: is there twice, in lines 1 and 3"),
        ("transcode:\n  presets:\n    h264: fast\n    h264: slow\n", "h264: is there twice, in lines 3 and 4"),
    ],
)
def test_a_key_that_is_there_twice_is_told_with_its_lines(config, text: str, told: str) -> None:
    with pytest.raises(InvalidSettings, match=told):
        load(config(text))


def test_all_mistakes_are_told_at_once(config) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(config("server: {port: eighty}\nlog: {level: loud}"))
    assert "server.port" in caught.value.message
    assert "log.level" in caught.value.message


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("STREAMFORGE_TRANSKODE__PRESET", "fast", "STREAMFORGE_TRANSKODE__PRESET"),
        ("STREAMFORGE_PORT", "80", "STREAMFORGE_PORT"),
        ("streamforge_prot", "80", "streamforge_prot"),
        ("STREAMFORGE_TRANSCODE__PRESETT", "fast", "transcode.presett"),
        ("STREAMFORGE_TRANSCODE__PRESETS__H264", "warp", "transcode.presets.h264"),
        ("STREAMFORGE_SERVER__PORT", "eighty", "server.port"),
        ("STREAMFORGE_TRANSCODE__HEIGHTS", "720,360", "STREAMFORGE_TRANSCODE__HEIGHTS: lists are written as JSON"),
        ("STREAMFORGE_SERVER", "8081", "server"),
        ("STREAMFORGE_SERVER", "localhost", "STREAMFORGE_SERVER"),
    ],
)
def test_a_mistake_in_the_environment_is_an_error_that_names_it(
    variable: str, value: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettings) as caught:
        load()
    assert named in caught.value.message


@pytest.mark.parametrize(("segment", "gop"), [(4, 2), (2, 2), (6, 1), (4.004, 1.001), (0.3, 0.1), (1, 0.04)])
def test_a_segment_holds_whole_gops(config, segment: float, gop: float) -> None:
    settings = load(config(f"transcode: {{segment_seconds: {segment}, gop_seconds: {gop}}}"))
    assert settings.transcode.segment_seconds == segment


@pytest.mark.parametrize(("segment", "gop"), [(4, 3), (1, 2), (4, 1.5), (4, 4.1)])
def test_a_segment_that_cuts_a_gop_is_an_error(config, segment: float, gop: float) -> None:
    with pytest.raises(InvalidSettings, match="segment_seconds must be a whole multiple of gop_seconds"):
        load(config(f"transcode: {{segment_seconds: {segment}, gop_seconds: {gop}}}"))


def test_the_rule_holds_for_what_file_and_environment_come_to_together(config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMFORGE_TRANSCODE__GOP_SECONDS", "3")
    with pytest.raises(InvalidSettings, match="transcode"):
        load(config("transcode: {segment_seconds: 4}"))
    assert load(config("transcode: {segment_seconds: 6}")).transcode.gop_seconds == 3


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "name",
    [
        "STREAMFORGE_PORT",
        "STREAMFORGE_SERVICE_HOST",
        "STREAMFORGE_PORT_8081_TCP_ADDR",
        "STREAMFORGE_API_SERVICE_PORT_HTTP",
    ],
)
def test_what_kubernetes_puts_beside_a_service_of_our_name_is_not_for_us(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:8081")
    assert load().server.port == 8081


def test_a_mistake_in_a_secret_does_not_show_it(config) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(config("keys: {secret: hunter2, token: hunter3}"))
    assert "keys.secret" in caught.value.message
    assert "hunter" not in caught.value.message


def test_a_profile_may_protect_its_jobs() -> None:
    settings = Settings.model_validate({"profiles": {"default": {}, "paid": {"protection": {"scheme": "cbcs"}}}})
    assert settings.for_profile("paid").protection.scheme == "cbcs"
    assert settings.for_profile(None).protection.scheme == "none"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("database.dsn", "postgresql://sf:pass@db/sf"),
        ("keys.secret", "s" * 32),
        ("keys.token", "t" * 16),
    ],  # pragma: allowlist secret
)
def test_a_secret_may_be_in_a_file(name: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section, _, key = name.partition(".")
    file = tmp_path / "secret"
    file.write_text(f"{content}\n")
    monkeypatch.setenv(f"{variable(name)}_FILE", str(file))
    value = getattr(getattr(load(), section), key)
    assert (value if isinstance(value, str) else value.get_secret_value()) == content
    monkeypatch.setenv(variable(name), content)
    with pytest.raises(InvalidSettings, match=f"{key} and {key}_file are both set"):
        load()
    monkeypatch.delenv(variable(name))
    file.unlink()
    with pytest.raises(InvalidSettings, match=f"{key}_file .* cannot be read: No such file"):
        load()
