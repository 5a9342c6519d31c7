"""Settings: `config.yaml`, overridden by `STREAMFORGE_*` (`__` nests). Unknown keys are an error that names the key."""

import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from streamforge.errors import InvalidSettings

ENV_PREFIX = "STREAMFORGE_"
CONFIG_FILE_VARIABLE = "STREAMFORGE_CONFIG"

KUBERNETES_VARIABLES = re.compile(
    r"STREAMFORGE_((\w+_)?SERVICE_HOST|(\w+_)?SERVICE_PORT(_\w+)?|(\w+_)?PORT_\d+_\w+)=.*|STREAMFORGE_(\w+_)?PORT=\w+://.*"
)
"""What Kubernetes puts into every pod beside a Service named streamforge, or streamforge-api: not meant for us."""


CrfOfX26x = Annotated[float, Field(ge=1, le=51)]
CrfOfAv1 = Annotated[int, Field(ge=1, le=63)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(8081, ge=0, le=65535)
    request_timeout_seconds: PositiveFloat = 60
    cors_origins: list[str] = ["*"]
    trusted_proxies: list[IPv4Network | IPv6Network] = []
    heartbeat_seconds: Annotated[float, Field(gt=0, le=30)] = 15
    max_streams: PositiveInt = 10_000
    max_streams_per_client: PositiveInt = 200


class InputSettings(Section):
    max_size_bytes: PositiveInt = 20 * 2**30
    min_free_disk_bytes: int = Field(2**30, ge=0)
    max_width: PositiveInt = 8192
    max_height: PositiveInt = 8192
    max_duration_seconds: PositiveFloat = 12 * 3600


class TranscodeSettings(Section):
    codec: Literal["h264", "hevc", "av1"] = "h264"
    preset: str = "veryfast"
    heights: list[Annotated[int, Field(ge=16, le=8192)]] = Field([2160, 1440, 1080, 720, 480, 360], min_length=1)
    segment_seconds: PositiveFloat = 4
    gop_seconds: PositiveFloat = 2
    max_chunk_seconds: PositiveFloat = 32
    max_frame_rate: PositiveFloat = 60
    audio_bitrate: PositiveInt = 128_000

    @model_validator(mode="after")
    def segments_hold_whole_gops(self) -> "TranscodeSettings":
        ratio = self.segment_seconds / self.gop_seconds
        if ratio < 1 or abs(ratio - round(ratio)) > 1e-9:
            raise ValueError("segment_seconds must be a whole multiple of gop_seconds")
        return self


class ValidationSettings(Section):
    enabled: bool = True
    min_score: float = Field(80, ge=0, le=100)
    on_failure: Literal["fail", "warn"] = "fail"
    sample_every_frames: PositiveInt = 32
    max_repairs: int = Field(2, ge=0, le=5)


class CrfRanges(Section):
    """The lowest and the highest CRF that a search may choose, by codec."""

    h264: tuple[CrfOfX26x, CrfOfX26x] = (16, 36)
    hevc: tuple[CrfOfX26x, CrfOfX26x] = (16, 38)
    av1: tuple[CrfOfAv1, CrfOfAv1] = (16, 54)

    @model_validator(mode="after")
    def ranges_go_upwards(self) -> "CrfRanges":
        for codec, (lowest, highest) in self:
            if lowest >= highest:
                raise ValueError(f"{codec} must be [lowest, highest]")
        return self


class PerTitleSettings(Section):
    enabled: bool = False
    targets: list[Annotated[float, Field(ge=20, le=99)]] = Field([93, 90, 85], min_length=1)
    crf: CrfRanges = CrfRanges()
    drop_rungs: bool = True
    max_cost: float = Field(0.3, gt=0, le=2)


class MediaSettings(Section):
    memory_limit_bytes: PositiveInt = 6 * 2**30
    cpu_limit_seconds: PositiveInt = 4 * 3600
    stall_timeout_seconds: PositiveFloat = 120


class WorkerSettings(Section):
    max_concurrent_media: PositiveInt | None = None
    media_memory_bytes: PositiveInt | None = None
    graceful_shutdown_seconds: float = Field(10, ge=0)


class StorageSettings(Section):
    url: str | None = None


class DatabaseSettings(Section):
    dsn: str | None = None
    pool_size: PositiveInt = 10


class TemporalSettings(Section):
    address: str | None = None
    namespace: str = "default"


class RetentionSettings(Section):
    days: PositiveFloat = 7
    sweep_every_hours: PositiveFloat = 24


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    data_dir: Path = Path("./data")
    server: ServerSettings = ServerSettings()
    input: InputSettings = InputSettings()
    transcode: TranscodeSettings = TranscodeSettings()
    validation: ValidationSettings = ValidationSettings()
    per_title: PerTitleSettings = PerTitleSettings()
    media: MediaSettings = MediaSettings()
    worker: WorkerSettings = WorkerSettings()
    storage: StorageSettings = StorageSettings()
    database: DatabaseSettings = DatabaseSettings()
    temporal: TemporalSettings = TemporalSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # What the file says arrives as init values; the environment overrides it.
        return env_settings, init_settings


def load(config_file: Path | None = None) -> Settings:
    """Read the file (`config_file`, else $STREAMFORGE_CONFIG, else ./config.yaml if it is there), then the environment.

    Raises InvalidSettings, naming the key.
    """
    path = config_file or _config_path_from_environment()
    from_file = _read_yaml(path) if path is not None else {}
    _refuse_unknown_variables()
    try:
        return Settings(**from_file)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {_sentence(e)}" for e in error.errors())
        raise InvalidSettings(f"Settings are not valid: {problems}.") from error
    except SettingsError as error:
        raise InvalidSettings(f"Settings are not valid: {_unreadable_variable(error)}.") from error


def _config_path_from_environment() -> Path | None:
    if named := os.environ.get(CONFIG_FILE_VARIABLE):
        return Path(named)
    default = Path("config.yaml")
    return default if default.is_file() else None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidSettings(f"The settings file {path} cannot be read: {error}") from error
    if not isinstance(content, dict | None):
        raise InvalidSettings(f"The settings file {path} must hold keys and values.")
    for key in content or {}:
        # Before pydantic-settings sees it: it takes keys like `_env_prefix` for arguments of its own.
        if key not in Settings.model_fields:
            raise InvalidSettings(f"Settings are not valid: {key}: no such setting.")
    return content or {}


def _refuse_unknown_variables() -> None:
    """pydantic-settings ignores a misspelt top-level variable; a setting that silently does nothing is worse."""
    for name, value in os.environ.items():
        if not name.upper().startswith(ENV_PREFIX) or name == CONFIG_FILE_VARIABLE:
            continue
        if KUBERNETES_VARIABLES.fullmatch(f"{name}={value}"):
            continue
        section = name[len(ENV_PREFIX) :].split("__")[0].lower()
        if section not in Settings.model_fields:
            raise InvalidSettings(f"Settings are not valid: the environment variable {name} names no setting.")


def _unreadable_variable(error: SettingsError) -> str:
    """pydantic-settings names only the section of what is no JSON, not the variable."""
    text = getattr(error.__cause__, "doc", None)
    names = [name for name, value in os.environ.items() if name.upper().startswith(ENV_PREFIX) and value == text]
    return f"{' or '.join(names)}: lists are written as JSON, like [720, 360]" if names else str(error)


def _sentence(error: Any) -> str:
    return "no such setting" if error["type"] == "extra_forbidden" else str(error["msg"])
