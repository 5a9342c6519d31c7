"""Languages as manifests and menus want them."""

from langcodes import Language, standardize_tag, tag_is_valid
from langcodes.tag_parser import LanguageTagError

NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fil": "Filipino", "fr": "French", "ga": "Irish", "gl": "Galician", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese",
    "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "ms": "Malay", "nb": "Norwegian Bokmål", "nl": "Dutch",
    "nn": "Norwegian Nynorsk", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu",
    "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""English names of what is often spoken in films (CLDR); langcodes has them only with 60 MB of data."""


def language_tag(language: str | None) -> str | None:
    """RFC 5646, as manifests want it: containers have `fre` or `fra` for `fr`. None for what names no language."""
    try:
        return standardize_tag(language) if language and tag_is_valid(language) else None
    except LanguageTagError:
        return None


def language_name(tag: str) -> str:
    """`Portuguese (BR)` for `pt-BR`; the tag itself where it has no name here."""
    found = Language.get(tag)
    name = NAMES.get(found.language or "")
    place = found.script or found.territory
    return f"{name} ({place})" if name and place else name or tag
