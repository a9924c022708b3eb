"""One pass over all bytes of a text: encoding, physical lines, and its beginning.

What the text holds (cells, JSON) is for the folders beside this one.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from import_pipeline.errors import EmptyFile
from import_pipeline.flow.batches.ahead import read_ahead
from import_pipeline.flow.batches.recognising.formats import LOOKED_AT, refuse_binary
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.flow.batches.text.encodings import (
    EncodingEvidence,
    Transcoder,
    check_stated_encoding,
    encoding_of_mark,
    keeps_ascii_lines,
)
from import_pipeline.flow.batches.text.guessing import utf_16_without_mark
from import_pipeline.flow.batches.text.lines import LineCounter, LineEnds
from import_pipeline.language import Told, told

HEAD_BYTES = 1024 * 1024


@dataclass(frozen=True)
class FileFacts:
    """What one pass over all bytes tells.

    Attributes:
        encoding: Python's name; `utf-8-sig` where the file begins with a byte order mark.
        encoding_evidence: one phrase for the report.
        physical_lines: line ends (LF, CRLF or CR), plus one for a last line without.
        line_ends: how many of each kind.
        head: the first bytes, at most 1 MiB.
        size: bytes read.
    """

    encoding: str
    encoding_evidence: Told
    physical_lines: int
    line_ends: LineEnds
    head: bytes
    size: int


def read_whole(source: Source, *, encoding: str | None = None, default: str | None = None) -> FileFacts:
    """Read all bytes once: encoding, physical lines.

    Args:
        encoding: what the sender stated; None: look at the evidence.
        default: encoding taken where the bytes are neither marked nor valid UTF-8.

    Raises:
        BadOption: the stated encoding is none.
        EmptyFile: there are no bytes.
        UnsupportedEncoding: the text is not in the stated encoding, or is broken UTF-16 or UTF-32.
        UnsupportedFormat: it is no text.
    """
    evidence, counter, head = EncodingEvidence(), LineCounter(), bytearray()
    size, known, transcoder = 0, None, None
    with closing(read_ahead(_beginning_whole(source.chunks()))) as chunks:
        for number, chunk in enumerate(chunks):
            if number == 0:
                known = _known_encoding(chunk, encoding, source.name)
                transcoder = None if known is None or keeps_ascii_lines(known) else Transcoder(known)
            size += len(chunk)
            if len(head) < HEAD_BYTES:
                head += chunk[: HEAD_BYTES - len(head)]
            counter.add(chunk if transcoder is None else transcoder.feed(chunk))
            if known is None:
                evidence.add(chunk, final=False)
    if not size:
        raise EmptyFile(
            told("{file} is empty: it has 0 bytes.", file=source.name), remedy=told("Send the file again.")
        )
    if transcoder is not None:
        counter.add(transcoder.feed(b"", final=True))
    evidence.add(b"", final=True)
    if known is None:
        chosen, why = evidence.decide(default)
    else:
        chosen, why = known, _why_known(encoding, marked=encoding_of_mark(bytes(head)) is not None)
    return FileFacts(chosen, why, counter.lines, counter.ends, bytes(head), size)


def _why_known(stated: str | None, *, marked: bool) -> Told:
    if stated:
        return told("stated")
    if marked:
        return told("the file begins with its byte order mark")
    return told("every second byte is often NUL")


def _known_encoding(start: bytes, stated: str | None, name: str) -> str | None:
    """The encoding that sender, byte order mark or NULs tell; refuses what is no text."""
    if stated is not None:
        known: str | None = check_stated_encoding(stated, start)
    else:
        known = encoding_of_mark(start) or utf_16_without_mark(start[:LOOKED_AT])
    if known is None or keeps_ascii_lines(known):
        refuse_binary(start, name)
    return known


def _beginning_whole(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes; the first part has at least the bytes by which a format is recognised."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= LOOKED_AT:
            break
    if start:
        yield start
    yield from chunks
