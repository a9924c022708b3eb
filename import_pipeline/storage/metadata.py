"""Object metadata as S3 carries it: ASCII only, so other text travels as RFC 2047 words.

S3 itself answers so for text that came in as UTF-8; `=?UTF-8?B?Sm/Do28=?=` is `João`. What the
names mean is `flow/arrivals/options.py`'s.
"""

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header


def encode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as it is sent; control characters (a line break would end the header) become spaces."""
    return {name: _encoded(value) for name, value in metadata.items()}


def decode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as it was meant, names in lower case; text that cannot be decoded stays as it is."""
    return {name.lower(): _decoded(value) for name, value in metadata.items()}


def _encoded(value: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in value).strip()
    return plain if plain.isascii() and "=?" not in plain else Header(plain, "utf-8").encode(maxlinelen=0)


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, UnicodeDecodeError, LookupError):
        return value
