"""A content key: what one track type of a job is encrypted with. Where keys come from stands in `streamforge.keys`."""

from pydantic import BaseModel, ConfigDict, Field

KEY_BYTES = 16


class ContentKey(BaseModel):
    """One AES-128 key. It crosses from a worker to its own child process, and is shown by neither."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, ser_json_bytes="base64", val_json_bytes="base64")

    key_id: str
    value: bytes = Field(repr=False, min_length=KEY_BYTES, max_length=KEY_BYTES)
