"""What a moved original says of itself, over every key that S3 takes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from import_pipeline.records import ListedObject
from import_pipeline.storage.metadata import MAXIMUM_METADATA_BYTES, decode_metadata, origin_of, with_origin

COPY = ListedObject("b", "archive/acme/leads/0123456789ab/a.csv", "e-2", 7, datetime(2026, 3, 2, tzinfo=UTC))
paths = st.text(st.characters(exclude_categories=("Cs",)), max_size=250)
moments = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))


@pytest.mark.parametrize(
    "value",
    ["=?undefined?Q?x?=", "=?no-such?Q?x?=", "=?idna?Q?xn--=FF?=", "=?utf-8?B?A?=", "=?utf-8?Q?=FF?=",
     "=?hex?Q?x?=", "=?cp1252?Q?=81?="],
)  # fmt: skip
def test_a_value_that_cannot_be_decoded_stays_as_it_is(value: str) -> None:
    """`undefined` is an encoding of Python's with an error of its own: one such file stopped the sensor."""
    assert decode_metadata({"Note": value}) == {"note": value}


@settings(deadline=None)
@given(paths, moments)
def test_any_key_comes_back_as_it_was(path: str, modified: datetime) -> None:
    source = ListedObject("b", f"uploads/acme/leads/{path}", "0a1b", 7, modified)

    kept = with_origin({"name": "x"}, source)

    assert all(value.isascii() and value.isprintable() and value == value.strip() for value in kept.values())
    assert origin_of(kept, COPY) == source
    assert kept["name"] == "x"


def test_a_key_of_1024_bytes_fits_beside_what_a_sender_usually_states() -> None:
    key = "uploads/acme/leads/" + "é" * ((1024 - 19) // 2)
    source = ListedObject("b", key, "0" * 32 + "-10000", 7, datetime(2026, 3, 1, tzinfo=UTC))

    kept = with_origin({"name": "n" * 200, "sha256": "0" * 64}, source)

    assert origin_of(kept, COPY) == source
    assert sum(len(name) + len(value) for name, value in kept.items()) <= MAXIMUM_METADATA_BYTES


@pytest.mark.parametrize(
    "forged",
    [
        {},
        {"original-key": "archive/acme/leads/x"},
        {"original-modified": "yesterday"},
        {"original-modified": "2026-03-01T12:00:00"},
        {"original-key": None, "original-key-base64": "%%%"},
        {"original-key": None, "original-key-base64": "/w=="},
    ],
)
def test_what_a_sender_made_up_is_no_origin(forged: dict[str, Any]) -> None:
    whole = {
        "original-key": "uploads/acme/leads/a.csv",
        "original-etag": "0a",
        "original-modified": "2026-03-01T12:00:00+00:00",
    }
    assert origin_of(whole, COPY) is not None

    metadata = {name: value for name, value in {**whole, **forged}.items() if value is not None}
    assert origin_of(metadata if forged else {}, COPY) is None
