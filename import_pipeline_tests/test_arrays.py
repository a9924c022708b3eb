"""Masks, lengths and bytes of Arrow arrays, whole and in slices."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.arrays import as_mask, byte_lengths, is_valid, text_bytes, text_offsets

FLAGS = st.lists(st.none() | st.booleans(), max_size=70)
TEXTS = st.lists(st.none() | st.text(max_size=4), max_size=30)


@given(FLAGS, st.integers(0, 20))
def test_a_mask_says_what_the_array_says_and_no_where_it_says_nothing(
    flags: list[bool | None], start: int
) -> None:
    array = pa.array([True] * start + flags, pa.bool_()).slice(start)
    assert as_mask(array).tolist() == [flag is True for flag in flags]
    assert is_valid(array).tolist() == [flag is not None for flag in flags]
    assert as_mask(array).dtype == np.dtype(bool)


@given(TEXTS, st.integers(0, 5))
def test_lengths_and_bytes_are_those_of_the_slice(texts: list[str | None], start: int) -> None:
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(["before"] * start + texts, kind).slice(start)
        written = [text.encode() for text in texts if text is not None]
        assert byte_lengths(array)[is_valid(array)].tolist() == [len(text) for text in written]
        assert text_bytes(array).tobytes() == b"".join(written)


def test_what_arrow_holds_cannot_be_written_to() -> None:
    text = pa.array(["a", "b"])
    for view in (text_bytes(text), text_offsets(text)):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1
