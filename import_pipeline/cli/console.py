"""How the command line speaks: messages for people on stderr, results on stdout, JSON if asked.

Nothing here knows what is said; colours and bars appear only on a terminal.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from import_pipeline.errors import ImportPipelineError
from import_pipeline.plain_text import harmless_json, one_line, without_controls

WIDTH_WITHOUT_TERMINAL = 200
UNITS = ("bytes", "kB", "MB", "GB", "TB")


class CalmConsole(Console):
    """A console whose terminal obeys no text: file names, headers and cells are of strangers' making."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Text with its markup, without characters that move the cursor or hide what was said."""
        return super().render_str(without_controls(text), **options)


def output() -> Console:
    """Where results go: standard output."""
    return CalmConsole(
        width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False, emoji=False
    )


def messages() -> Console:
    """Where everything beside the result goes: standard error."""
    width = None if sys.stderr.isatty() else WIDTH_WITHOUT_TERMINAL
    return CalmConsole(stderr=True, width=width, highlight=False, emoji=False)


def say(text: str) -> None:
    """A line for people on standard error; rich markup is understood, wrap data in `escape`."""
    messages().print(text, soft_wrap=True)


def warn(text: str) -> None:
    """A warning for people, in yellow."""
    say(f"[yellow]{escape(text)}[/]")


def show_error(error: ImportPipelineError) -> None:
    """An error raised on purpose: what happened in red, then what to do about it."""
    say(f"[bold red]{escape(error.message)}[/]")
    if error.remedy:
        say(escape(error.remedy))


def print_json(value: Any) -> None:
    """A record, or a list of records, as JSON on standard output."""
    print(harmless_json(json.dumps(value, default=_plain, ensure_ascii=False, indent=2)))


def print_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    right: Sequence[str] = (),
    to: Console | None = None,
) -> None:
    """A table on standard output.

    Args:
        headers: column titles; `right`: those whose cells are numbers.
        rows: cells by position; None shows as an empty cell.
        to: where it goes instead.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row))
    (to or output()).print(table)


def print_facts(facts: Iterable[tuple[str, object]], to: Console | None = None) -> None:
    """Names and values, one a line, on standard output or `to`; those without a value are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        if value is not None and value != "":
            table.add_row(name, _cell(value))
    (to or output()).print(table)


def size_text(size: int) -> str:
    """Bytes as people say them, in powers of 1,000: `11.2 MB`."""
    number = float(size)
    for unit in UNITS:
        if number < 1000 or unit == UNITS[-1]:
            break
        number /= 1000
    return f"{size:,} {unit}" if unit == UNITS[0] else f"{number:.1f} {unit}"


def time_text(moment: datetime | None) -> str:
    """A moment in the local zone, to the second; empty for None."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def seconds_text(seconds: float | None) -> str:
    """A length of time: `0.8 s`, `2 min 5 s`, `3 h 10 min`."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    return escape(f"{value:,}" if isinstance(value, int) else one_line(str(value)))


def _plain(value: Any) -> Any:
    """What json cannot write by itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)
