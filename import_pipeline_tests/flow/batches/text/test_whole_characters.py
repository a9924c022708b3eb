"""Whether bytes are UTF-8 is told as Python's own decoder tells it, however they are cut."""

import codecs

from hypothesis import example, given, settings
from hypothesis import strategies as st

from import_pipeline.flow.batches.text.encodings import EncodingEvidence, Transcoder

# Text, and the bytes that make it invalid or incomplete: parts of characters, surrogates, overlong forms.
PARTS = [b"\xc3", b"\xa3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xff", b"\n"]
PIECES = st.one_of(
    st.text(max_size=5).map(lambda text: text.encode("utf-8", "ignore")), st.sampled_from(PARTS)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join), st.integers(1, 5))
@example(b"\xe0\x80", 2)
@example("ação €".encode(), 1)
def test_evidence_and_text_are_those_of_pythons_decoder(data: bytes, size: int) -> None:
    evidence, transcoder = EncodingEvidence(), Transcoder("utf-8")
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    text = b""
    for part in parts:
        evidence.add(part, final=False)
        text += transcoder.feed(part)
    evidence.add(b"", final=True)
    text += transcoder.feed(b"", final=True)

    decoded = codecs.utf_8_decode(data, "surrogateescape", True)[0]
    invalid = sum(0xDC80 <= ord(character) <= 0xDCFF for character in decoded)
    assert (evidence.invalid, evidence.valid) == (invalid, sum(ord(c) > 0x7F for c in decoded) - invalid)
    assert text == decoded.encode("utf-8", "surrogatepass").removeprefix(codecs.BOM_UTF8)
