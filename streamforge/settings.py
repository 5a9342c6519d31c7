"""Settings: `config.yaml`, overridden by `STREAMFORGE_*` (`__` nests). Unknown keys are an error that names the key."""

import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from streamforge.codecs.registry import CBCS_CODECS, CODECS, without_cbcs
from streamforge.contracts.source_url import BUCKET, SourceUrl
from streamforge.errors import InvalidSettings, SourceNotAllowed
from streamforge.settings_problems import RENAMED, no_such, problems

ENV_PREFIX = "STREAMFORGE_"
CONFIG_FILE_VARIABLE = "STREAMFORGE_CONFIG"
API_KEY_VARIABLE = "STREAMFORGE_API_KEY"
API_KEY_FILE_VARIABLE = "STREAMFORGE_API_KEY_FILE"
NO_SETTINGS = frozenset({CONFIG_FILE_VARIABLE, API_KEY_VARIABLE, API_KEY_FILE_VARIABLE})
"""For the command line; these say nothing of how the service runs."""

KUBERNETES_VARIABLES = re.compile(
    r"STREAMFORGE_((\w+_)?SERVICE_HOST|(\w+_)?SERVICE_PORT(_\w+)?|(\w+_)?PORT_\d+_\w+)=.*|STREAMFORGE_(\w+_)?PORT=\w+://.*"
)
"""What Kubernetes puts into every pod beside a Service named streamforge, or streamforge-api: not meant for us."""


_HOST = r"([\w.-]*|\[[\da-f:.%]+\]|%2F[^@/?#:,]*)(:\d{1,5})?"
DSN = re.compile(
    r"postgres(ql)?://([^@/?#\[\]]*@)?"
    rf"{_HOST}(,{_HOST})*(/[^?#]*)?(\?[^#]*)?",
    re.IGNORECASE,
)
"""libpq's form of it: several hosts may be named, and a socket's folder in their place, percent-encoded."""

MIN_SECRET_LENGTH = 32

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SectionWithSecrets(Section):
    """Whose secrets may each be in a file: `<name>_file` stands for the content of `<name>`."""

    @model_validator(mode="before")
    @classmethod
    def read_secret_files(cls, told: Any) -> Any:
        if not isinstance(told, dict):
            return told
        files = [name for name in cls.model_fields if name.endswith("_file")]
        # What is no path at all is told as other values of a wrong kind are.
        named = [name for name in files if isinstance(told.get(name), str | Path)]
        for name in named:
            secret = name.removesuffix("_file")
            if told.get(secret) is not None:
                raise ValueError(f"{secret} and {name} are both set; one of them is enough")
            told = {**told, secret: _content(name, Path(told[name]))}
        return told


def _content(name: str, file: Path) -> str:
    try:
        # Editors and `echo` end a file with a line break, which the setting would not have.
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(f"{name} {file} cannot be read: {reason}") from error


def _origin(text: str) -> str:
    url = urlsplit(text)
    if text not in {"*", "null"} and not (
        url.scheme and url.netloc and text.lower() == f"{url.scheme}://{url.netloc}".lower()
    ):
        raise ValueError(
            f"{text!r} is no origin; one is written like https://example.org, without a path, or * for any page"
        )
    return plain_origin(text)


def plain_origin(text: str) -> str:
    """As browsers write it: in lower case, and without the port that goes without saying."""
    origin = text.lower()
    return origin.removesuffix(DEFAULT_PORTS.get(origin.partition("://")[0], ""))


def _host_name(text: str) -> str:
    if text != "*" and re.fullmatch(r"[\w.-]+|[\da-fA-F:]+", text) is None:
        raise ValueError(f"{text!r} is no name of a host; one is written like video.example.org, or * for any")
    return text.lower()


class ServerSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(8081, ge=0, le=65535)
    request_timeout_seconds: PositiveFloat = 60
    cors_origins: list[Annotated[str, AfterValidator(_origin)]] = ["*"]
    hosts: list[Annotated[str, AfterValidator(_host_name)]] = []
    trusted_proxies: list[IPv4Network | IPv6Network] = []
    head_timeout_seconds: PositiveFloat = 30
    slow_client_seconds: PositiveFloat = 120
    min_bytes_per_second: int = Field(500, ge=0)
    heartbeat_seconds: Annotated[float, Field(gt=0, le=30)] = 15
    max_streams: PositiveInt = 10_000
    max_streams_per_client: PositiveInt = 200


SignatureAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"
]
"""Of which only the provider can sign: neither `none` nor HMAC, whose key is a secret that is shared."""


_TRUSTWORTHY = re.compile(r"https://[^\s\"<>?#]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/[^\s\"<>?#]*)?")


def require_address(text: str) -> str:
    """Keys that come over plain HTTP could be anybody's, but for those from this machine. Raises ValueError."""
    if _TRUSTWORTHY.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no address like https://login.example.org")
    return text


class OidcSettings(Section):
    issuer: str | None = None
    audience: str | None = Field(None, min_length=1)
    jwks_url: str | None = None
    algorithms: list[SignatureAlgorithm] = Field(["RS256", "PS256", "ES256", "Ed25519"], min_length=1)
    owner_claim: str = Field("sub", min_length=1)
    scope_claim: str = Field("scope", min_length=1)
    scope_prefix: str = ""
    clock_skew_seconds: int = Field(30, ge=0, le=300)

    @field_validator("issuer", "jwks_url")
    @classmethod
    def keys_come_from_there(cls, value: str | None) -> str | None:
        return None if value is None else require_address(value)

    @model_validator(mode="after")
    def both_or_neither(self) -> "OidcSettings":
        if (self.issuer is None) != (self.audience is None):
            raise ValueError(
                "issuer and audience go together: a token for somebody else's service is none for this one"
            )
        return self


class AuthSettings(Section):
    required: bool = False
    secret: SecretStr | None = Field(None, min_length=MIN_SECRET_LENGTH)
    secret_file: Path | None = None
    ticket_seconds: float = Field(60, ge=1, le=3600)
    session_seconds: float = Field(12 * 3600, ge=60, le=30 * 86400)
    oidc: OidcSettings = OidcSettings()

    @model_validator(mode="after")
    def one_secret(self) -> "AuthSettings":
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("secret and secret_file are both set; one of them is enough")
        return self

    @property
    def has_secret(self) -> bool:
        return self.secret is not None or self.secret_file is not None


Quota = int | None
"""None: as much as anybody likes."""


class LimitsSettings(Section):
    """Null: what LIMITS_WITH_CALLERS says where callers say who they are, else no limit; 0: no limit."""

    requests_per_minute: int | None = Field(None, ge=0)
    requests_per_minute_without_caller: int | None = Field(None, ge=0)
    failed_attempts_per_minute: int | None = Field(None, ge=0)
    streams_at_once: int | None = Field(None, ge=0)
    uploads_at_once: int | None = Field(None, ge=0)
    uploads_at_once_per_address: int | None = Field(None, ge=0)
    unfinished_jobs: int | None = Field(None, ge=0)
    bytes_per_day: int | None = Field(None, ge=0)
    minutes_per_month: int | None = Field(None, ge=0)


LIMITS_WITH_CALLERS = {
    "requests_per_minute": 1200,
    "requests_per_minute_without_caller": 300,
    "failed_attempts_per_minute": 30,
    "streams_at_once": 1000,
    "uploads_at_once": 50,
    "uploads_at_once_per_address": 100,
    "unfinished_jobs": 1000,
    "bytes_per_day": 2**40,
    "minutes_per_month": 100_000,
}


class InputSettings(Section):
    max_size_bytes: PositiveInt = 20 * 2**30
    min_free_disk_bytes: int = Field(2**30, ge=0)
    max_width: PositiveInt = 8192
    max_height: PositiveInt = 8192
    max_duration_seconds: PositiveFloat = 12 * 3600
    max_streams: PositiveInt = 512
    max_packets_per_second: PositiveInt = 10_000
    max_extra_bytes: PositiveInt = 256 * 2**20


class OutboundSettings(Section):
    allowed_networks: list[IPv4Network | IPv6Network] = []


class WebhooksSettings(Section):
    timeout_seconds: float = Field(20, gt=0, le=60)
    retry_after_seconds: list[PositiveFloat] = Field(
        [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400], max_length=50
    )
    old_secret_hours: float = Field(24, ge=0, le=8760)


class UploadsSettings(Section):
    expire_after_hours: PositiveFloat = 24


def _bucket(text: str) -> str:
    """A bucket, or a folder in one."""
    found = BUCKET.fullmatch(text)
    if found is None or any(part in {"", ".", ".."} for part in (found["key"] or "all").rstrip("/").split("/")):
        raise ValueError(
            f"{text!r} is no bucket; one is written like s3://bucket or s3://bucket/folder, gs:// or az://"
        )
    return text.rstrip("/")


class SourceUrlsSettings(Section):
    enabled: bool = True
    buckets: list[Annotated[str, AfterValidator(_bucket)]] = []
    at_once: PositiveInt = 4
    silence_seconds: PositiveFloat = 60
    retry_for_seconds: PositiveFloat = 600

    def require_allowed(self, url: SourceUrl) -> None:
        """Our credentials open more than callers may see, our own store among it: they are used for what an operator has named.

        Raises SourceNotAllowed.
        """
        if not self.enabled:
            raise SourceNotAllowed("This server fetches no videos; send the file itself.")
        if url.is_object and not any(url.text.startswith(f"{bucket}/") for bucket in self.buckets):
            raise SourceNotAllowed(
                "This bucket is none that this server fetches from; an operator can name it in source_urls.buckets."
            )


class CrfRanges(Section):
    @model_validator(mode="after")
    def ranges_go_upwards(self) -> "CrfRanges":
        for codec, (lowest, highest) in self:
            if lowest >= highest:
                raise ValueError(f"{codec} must be [lowest, highest]")
        return self


if TYPE_CHECKING:
    # Each has one field for each codec, which only pydantic knows.
    CodecName = str

    class Presets(Section): ...

    class ConstantQuality(Section): ...

    class SearchedCrf(CrfRanges): ...
else:
    CodecName = Literal[tuple(CODECS)]
    Presets = create_model("Presets", __base__=Section, **{name: each.preset for name, each in CODECS.items()})
    ConstantQuality = create_model(
        "ConstantQuality", __base__=Section, **{name: each.crf for name, each in CODECS.items()}
    )
    SearchedCrf = create_model(
        "SearchedCrf", __base__=CrfRanges, **{name: each.searched_crf for name, each in CODECS.items()}
    )


class TranscodeSettings(Section):
    codecs: list[CodecName] = ["h264"]
    presets: Presets = Presets()
    crf: ConstantQuality = ConstantQuality()
    max_bitrate_1080p: PositiveInt = 6_500_000
    heights: list[Annotated[int, Field(ge=16, le=8192)]] = Field([2160, 1440, 1080, 720, 480, 360], min_length=1)
    segment_seconds: PositiveFloat = 4
    gop_seconds: PositiveFloat = 2
    max_chunk_seconds: PositiveFloat = 32
    max_frame_rate: PositiveFloat = 60
    remux: bool = False

    @model_validator(mode="after")
    def segments_hold_whole_gops(self) -> "TranscodeSettings":
        ratio = self.segment_seconds / self.gop_seconds
        if ratio < 1 or abs(ratio - round(ratio)) > 1e-9:
            raise ValueError("segment_seconds must be a whole multiple of gop_seconds")
        return self

    @model_validator(mode="after")
    def codecs_are_named_once(self) -> "TranscodeSettings":
        if len(set(self.codecs)) < len(self.codecs):
            raise ValueError("codecs names one twice")
        return self


class AudioSettings(Section):
    stereo_bitrate: int = Field(128_000, ge=16_000, le=512_000)
    surround: bool = True
    surround_bitrate: int = Field(384_000, ge=64_000, le=1_024_000)
    loudness_target: float | None = Field(None, ge=-40, le=-5)
    true_peak_ceiling: float = Field(-1, ge=-20, le=0)


class ValidationSettings(Section):
    enabled: bool = True
    min_score: float = Field(80, ge=0, le=100)
    on_failure: Literal["fail", "warn"] = "fail"
    sample_every_frames: PositiveInt = 32
    max_repairs: int = Field(2, ge=0, le=5)


class PicturesSettings(Section):
    enabled: bool = True
    tile_size: int = Field(160, ge=32, le=640)
    interval_seconds: float | None = Field(None, ge=0.1)


class DownloadsSettings(Section):
    enabled: bool = False


class PerTitleSettings(Section):
    enabled: bool = False
    targets: list[Annotated[float, Field(ge=20, le=99)]] = Field([93, 85, 75], min_length=1)
    crf: SearchedCrf = SearchedCrf()
    drop_rungs: bool = True
    max_cost: float = Field(0.3, gt=0, le=10)


class ProtectionSettings(Section):
    scheme: Literal["none", "aes-128", "cbcs"] = "none"


class KeySettings(SectionWithSecrets):
    secret: SecretStr | None = Field(None, min_length=MIN_SECRET_LENGTH)
    secret_file: Path | None = None
    token: SecretStr | None = Field(None, min_length=16)
    token_file: Path | None = None
    url: str | None = None

    @field_validator("url")
    @classmethod
    def players_can_ask_there(cls, value: str | None) -> str | None:
        if value is not None and re.fullmatch(r"https?://[^\s\"<>]+", value) is None:
            raise ValueError("must be an address like https://keys.example, without spaces or quotation marks")
        return value


class PlaybackSettings(Section):
    mode: Literal["public", "signed"] | None = None
    expires_seconds: int = Field(43_200, ge=1, le=31_536_000)


class CaptionsSettings(Section):
    enabled: bool = False
    language: str | None = None
    model: str = "tiny"
    allow_download: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: Literal["auto", "int8", "int8_float16", "int8_float32", "float16", "bfloat16", "float32"] = "auto"


def _off_is_a_word(value: object) -> object:
    """YAML takes a bare `off` for false."""
    return "off" if value is False else value


SandboxMode: TypeAlias = Literal["auto", "required", "off"]


class MediaSettings(Section):
    memory_limit_bytes: PositiveInt = 6 * 2**30
    file_limit_bytes: PositiveInt = 64 * 2**30
    cpu_limit_seconds: PositiveInt = 4 * 3600
    stall_timeout_seconds: PositiveFloat = 120
    sandbox: Annotated[SandboxMode, BeforeValidator(_off_is_a_word)] = "auto"


class WorkerSettings(Section):
    max_concurrent_media: PositiveInt | None = None
    media_memory_bytes: PositiveInt | None = None
    graceful_shutdown_seconds: float = Field(10, ge=0)
    gpu: Annotated[Literal["off", "auto"], BeforeValidator(_off_is_a_word)] = "auto"
    gpu_sessions: PositiveInt = 3


class StorageSettings(Section):
    url: str | None = None


def _prefix_of_roles(text: str) -> str:
    """Stands in SQL, and before `_caller` within the 63 letters that PostgreSQL has for a name."""
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,47}", text) is None or text.startswith("pg_"):
        raise ValueError(
            f"{text!r} begins no name of a role; one has small letters, digits and _, at most 48, like video_a"
        )
    return text


class DatabaseSettings(SectionWithSecrets):
    dsn: str | None = None
    dsn_file: Path | None = None
    pool_size: PositiveInt = 10
    roles: Annotated[str, AfterValidator(_prefix_of_roles)] = "streamforge"
    require_isolation: bool = False

    @field_validator("dsn")
    @classmethod
    def dsn_can_be_parsed(cls, value: str | None) -> str | None:
        """Never says what is there: it may hold a password."""
        if value is not None and DSN.fullmatch(value) is None:
            raise ValueError(
                "must be like postgresql://user:password@host:5432/database; special characters in a password are "
                "percent-encoded, like %23 for #"
            )
        return value


def _deployment(text: str) -> str:
    """Temporal puts a dot or a colon between a deployment and its builds."""
    if re.fullmatch(r"[A-Za-z0-9][\w-]{0,63}", text, re.ASCII) is None:
        raise ValueError(f"{text!r} is no name of a deployment; one has letters, digits, - and _, at most 64")
    return text


def _build_id(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,127}", text, re.ASCII) is None:
        raise ValueError(f"{text!r} is no id of a build; one has letters, digits, and . + - _, at most 128")
    return text


class TemporalSettings(Section):
    address: str | None = None
    namespace: str = "default"
    deployment: Annotated[str, AfterValidator(_deployment)] | None = None
    build_id: Annotated[str, AfterValidator(_build_id)] | None = None


class RetentionSettings(Section):
    days: Annotated[float, Field(gt=0, le=36_500)] = 7
    originals_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    outputs_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    failed_parts_hours: Annotated[float, Field(ge=0, le=876_000)] = 24
    deliveries_days: Annotated[float, Field(gt=0, le=36_500)] = 30
    audit_days: Annotated[float, Field(ge=1, le=36_500)] = 365
    sweep_every_hours: Annotated[float, Field(gt=0, le=8760)] = 24


def _redis_url(url: SecretStr) -> SecretStr:
    return _with_scheme(url, "redis", "rediss", "unix")


def _nats_url(url: SecretStr) -> SecretStr:
    return _with_scheme(url, "nats", "tls", "ws", "wss")


def _with_scheme(url: SecretStr, *schemes: str) -> SecretStr:
    """What follows may hold a password, and is not repeated."""
    if url.get_secret_value().partition("://")[0] not in schemes or not url.get_secret_value().partition("://")[2]:
        raise ValueError(f"an address begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return url


def _redis_stream(name: str) -> str:
    if not 0 < len(name) <= 255:
        raise ValueError("a name has 1 to 255 characters")
    return name


def _nats_stream(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name) is None:
        raise ValueError("a name has 1 to 128 letters, digits, dashes and underscores")
    return name


def _nats_subject(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name) is None or len(name) > 128:
        raise ValueError("a subject is written like streamforge.events, with letters, digits, dashes and underscores")
    return name


class RedisSinkSettings(SectionWithSecrets):
    url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = None
    url_file: Path | None = None
    stream: Annotated[str, AfterValidator(_redis_stream)] = "streamforge:events"
    max_length: PositiveInt = 1_000_000


class NatsSinkSettings(SectionWithSecrets):
    url: Annotated[SecretStr, AfterValidator(_nats_url)] | None = None
    url_file: Path | None = None
    stream: Annotated[str, AfterValidator(_nats_stream)] = "STREAMFORGE"
    subject: Annotated[str, AfterValidator(_nats_subject)] = "streamforge.events"


class SinksSettings(Section):
    redis: RedisSinkSettings = RedisSinkSettings()
    nats: NatsSinkSettings = NatsSinkSettings()


class MetricsSettings(Section):
    host: str = "127.0.0.1"
    port: int | None = Field(None, ge=0, le=65535)
    worker_port: int | None = Field(None, ge=0, le=65535)


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    file_bytes: int = Field(16 * 2**20, ge=2**16)
    file_count: int = Field(8, ge=0, le=1000)

    @field_validator("file_count")
    @classmethod
    def one_is_kept_while_another_is_written(cls, value: int) -> int:
        if value == 1:
            raise ValueError("must be 0, or at least 2: while one is begun, the one before is kept")
        return value


class TracingSettings(Section):
    endpoint: str | None = None
    sample: float = Field(1, ge=0, le=1)

    @field_validator("endpoint")
    @classmethod
    def spans_can_be_sent_there(cls, value: str | None) -> str | None:
        if value is not None and re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", value) is None:
            raise ValueError("must be an address like http://collector.example:4318, without a password or a query")
        return value and value.rstrip("/")


JOB_SECTIONS = frozenset(
    {"transcode", "audio", "validation", "per_title", "protection", "captions", "pictures", "downloads", "playback"}
)
"""What a profile may change: all that is decided for each job."""

Profile = dict[str, dict[str, Any]]
"""By section, what is other than in the settings themselves."""

PROFILES: dict[str, Profile] = {
    "default": {},
    "h264": {"transcode": {"codecs": ["h264"]}},
    "hevc": {"transcode": {"codecs": ["hevc"]}},
    "av1": {"transcode": {"codecs": ["av1"]}},
    "mixed": {"transcode": {"codecs": ["h264", "av1"]}},
    "audio": {"transcode": {"codecs": []}},
    "mezzanine": {
        "transcode": {
            "codecs": ["h264"],
            "heights": [8192],
            "crf": {"h264": 12},
            "max_bitrate_1080p": 80_000_000,
            "max_frame_rate": 120,
        },
        "audio": {"stereo_bitrate": 320_000, "surround_bitrate": 768_000},
        "per_title": {"enabled": False},
    },
    "remux": {"transcode": {"remux": True}},
}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    data_dir: Path = Path("./data")
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    limits: LimitsSettings = LimitsSettings()
    input: InputSettings = InputSettings()
    uploads: UploadsSettings = UploadsSettings()
    source_urls: SourceUrlsSettings = SourceUrlsSettings()
    outbound: OutboundSettings = OutboundSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    transcode: TranscodeSettings = TranscodeSettings()
    audio: AudioSettings = AudioSettings()
    validation: ValidationSettings = ValidationSettings()
    pictures: PicturesSettings = PicturesSettings()
    downloads: DownloadsSettings = DownloadsSettings()
    per_title: PerTitleSettings = PerTitleSettings()
    protection: ProtectionSettings = ProtectionSettings()
    keys: KeySettings = KeySettings()
    playback: PlaybackSettings = PlaybackSettings()
    captions: CaptionsSettings = CaptionsSettings()
    media: MediaSettings = MediaSettings()
    worker: WorkerSettings = WorkerSettings()
    storage: StorageSettings = StorageSettings()
    database: DatabaseSettings = DatabaseSettings()
    temporal: TemporalSettings = TemporalSettings()
    retention: RetentionSettings = RetentionSettings()
    sinks: SinksSettings = SinksSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()
    profile: str = "default"
    profiles: dict[str, Profile] = PROFILES

    @model_validator(mode="after")
    def profiles_can_be_applied(self) -> "Settings":
        if self.profile not in self.profiles:
            raise ValueError(f"profile: there is no {self.profile!r}; profiles has {', '.join(sorted(self.profiles))}")
        for name in self.profiles:
            self._overridden(name)
        return self

    @model_validator(mode="after")
    def streams_can_be_protected(self) -> "Settings":
        job = self._overridden(self.profile)
        if job.protection.scheme == "cbcs" and (clear := without_cbcs(job.transcode.codecs)):
            raise ValueError(f"protection.scheme: {CBCS_CODECS}, and transcode.codecs has {' and '.join(clear)}")
        if job.protection.scheme != "none" and self.storage.url is not None and self.keys.secret is None:
            raise ValueError(
                "keys.secret must be set where storage.url is: whoever shares the bucket needs the same secret, "
                "and a bucket outlives the disk on which one would be made"
            )
        return self

    @model_validator(mode="after")
    def callers_are_known_everywhere(self) -> "Settings":
        if self.auth.required and self.is_outside and not self.auth.has_secret:
            raise ValueError(
                "auth.secret (or auth.secret_file) must be set where database.dsn or storage.url is: all APIs need "
                "the same secret, and a database outlives the disk on which one would be made"
            )
        return self

    @model_validator(mode="after")
    def signatures_are_known_everywhere(self) -> "Settings":
        if self.is_outside and not self.auth.has_secret and any(self.is_signed(name) for name in self.profiles):
            raise ValueError(
                "auth.secret (or auth.secret_file) must be set where playback.mode is signed and database.dsn or storage.url "
                "is set: an address that one API has signed must be valid at all of them"
            )
        return self

    def for_profile(self, name: str | None) -> "Settings":
        """The settings of a job. Raises InvalidSettings for a name that is (no longer) there; None is the default one."""
        if (name := name or self.profile) not in self.profiles:
            raise InvalidSettings(f"There is no profile {name!r}; there are {', '.join(sorted(self.profiles))}.")
        return self._overridden(name)

    def limit(self, name: str) -> Quota:
        """What is in force of a key of `limits`."""
        told: int | None = getattr(self.limits, name)
        if told is None:
            told = LIMITS_WITH_CALLERS[name] if self.auth.required else 0
        return told or None

    @property
    def is_outside(self) -> bool:
        """Whether there may be more processes than those on this data folder."""
        return self.database.dsn is not None or self.storage.url is not None

    def is_signed(self, profile: str) -> bool:
        """Whether the streams of a profile's jobs are for those only who were given a signed address. Where neither it nor
        the settings say so, they are as soon as callers have to say who they are."""
        mode = self._overridden(profile).playback.mode
        return self.auth.required if mode is None else mode == "signed"

    def _overridden(self, profile: str) -> "Settings":
        """Raises ValueError, naming the key by its whole path."""
        changed: dict[str, Section] = {}
        for section, overrides in self.profiles[profile].items():
            if section not in JOB_SECTIONS:
                raise ValueError(
                    f"profiles.{profile}.{section}: a profile has the sections {', '.join(sorted(JOB_SECTIONS))}"
                )
            before: Section = getattr(self, section)
            try:
                changed[section] = type(before).model_validate(_merged(before.model_dump(), overrides))
            except ValidationError as error:
                raise ValueError(problems(error, f"profiles.{profile}.{section}.")) from error
        return self.model_copy(update=changed)

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
        raise InvalidSettings(f"Settings are not valid: {problems(error)}.") from error
    except SettingsError as error:
        raise InvalidSettings(f"Settings are not valid: {_unreadable_variable(error)}.") from error


def _config_path_from_environment() -> Path | None:
    if named := os.environ.get(CONFIG_FILE_VARIABLE):
        return Path(named)
    default = Path("config.yaml")
    return default if default.is_file() else None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - a SafeLoader that counts keys
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidSettings(f"The settings file {path} cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict | None):
        raise InvalidSettings(f"The settings file {path} must hold keys and values.")
    for key in content or {}:
        # Before pydantic-settings sees it: it takes keys like `_env_prefix` for arguments of its own.
        if key not in Settings.model_fields:
            raise InvalidSettings(f"Settings are not valid: {no_such(str(key))}.")
    return content or {}


class _UniqueKeys(yaml.SafeLoader):
    """YAML forbids a key twice in one place, and PyYAML takes the last: a setting above would silently do nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if key != "<<" and lines.setdefault(repr(key), line) != line:
                raise InvalidSettings(
                    f"Settings are not valid: {key}: is there twice, in lines {lines[repr(key)]} and {line} of the file."
                )
        return super().construct_mapping(node, deep)


def _refuse_unknown_variables() -> None:
    """pydantic-settings ignores a misspelt top-level variable; a setting that silently does nothing is worse."""
    for name, value in os.environ.items():
        if not name.upper().startswith(ENV_PREFIX) or name in NO_SETTINGS:
            continue
        if KUBERNETES_VARIABLES.fullmatch(f"{name}={value}"):
            continue
        path = name[len(ENV_PREFIX) :].lower().split("__")
        if now := RENAMED.get(".".join(path)):
            raise InvalidSettings(f"Settings are not valid: {name} is called {variable(now)} now.")
        if path[0] not in Settings.model_fields:
            raise InvalidSettings(f"Settings are not valid: the environment variable {name} names no setting.")


def variable(path: str) -> str:
    """The environment's name of a setting."""
    return ENV_PREFIX + path.upper().replace(".", "__")


def _unreadable_variable(error: SettingsError) -> str:
    """pydantic-settings names only the section of what is no JSON, not the variable."""
    text = getattr(error.__cause__, "doc", None)
    names = [name for name, value in os.environ.items() if name.upper().startswith(ENV_PREFIX) and value == text]
    return f"{' or '.join(names)}: lists are written as JSON, like [720, 360]" if names else str(error)


def _merged(before: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    nested = {
        key: _merged(before[key], value)
        for key, value in overrides.items()
        if isinstance(value, dict) and isinstance(before.get(key), dict)
    }
    return before | overrides | nested
