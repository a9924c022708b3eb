"""summary.html: one page that a person can read, made from the content of summary.json.

A pure function from summary and samples to HTML; the layout stands in `page.html.j2`, the sentences in
`page_words.py`. Whatever senders wrote is shown as text: everything is escaped, nothing is loaded from
elsewhere, and there is no script.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from jinja2 import ChainableUndefined, Environment, PackageLoader, Template
from markupsafe import Markup, escape

from import_pipeline.codes import CODES
from import_pipeline.flow.reports import page_words as words
from import_pipeline.flow.reports.samples import Samples
from import_pipeline.language import LOCALES, Language, say, told

TEMPLATE = "page.html.j2"
PAGE, PAGE_TYPE = "summary.html", "text/html; charset=utf-8"
# Width of the chart in its own units, of the gap between parts, and of the smallest part that can be seen.
CHART_WIDTH, GAP, SMALLEST = 1000.0, 3.0, 6.0
# Characters that are not seen or turn the text around: shown by their number instead.
_HIDDEN = {
    code: f"⟨U+{code:04X}⟩"
    for code in (*range(9), 0xB, 0xC, *range(0xE, 0x20), *range(0x7F, 0xA0), 0x200B, 0x200E, 0x200F, 0x2028,
                 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
}  # fmt: skip


def summary_page(summary: Mapping[str, Any], samples: Samples, language: Language) -> str:
    """The page as HTML.

    Args:
        summary: the content of summary.json, its sentences in `language` already.
        samples: of the file's errors, in the same language; empty for a file whose rows were not read.
    """

    def t(template: str, **facts: Any) -> str:
        return say(told(template, **facts), language)

    page = page_template().render(
        t=t,
        say=lambda text: say(text, language),
        language=LOCALES[language].replace("_", "-"),
        summary=summary,
        words=words,
        codes=CODES,
        tone=words.TONES.get(summary["state"], "info"),
        parts=chart_parts(summary.get("counts", {})),
        first=samples.first,
        errors=samples.by_code("error"),
        error_count=sum(found.count for found in samples.by_code("error")),
        duplicates=samples.by_code("duplicate"),
        warnings=samples.by_code("warning"),
        when=lambda moment: _when(moment, summary.get("timezone", "UTC"), language),
    )  # fmt: skip
    # A name may hold half a surrogate pair, which no encoding of a page can.
    return page.encode("utf-8", "replace").decode()


def chart_parts(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """The parts of the stacked bar: name, count, share (0 to 1), and where each begins and how wide it is.

    Parts too small to be seen are widened at the cost of the others; empty ones have no width.
    """
    values = [(name, counts.get(name, 0)) for name in words.COUNTERS]
    total = sum(value for _, value in values)
    seen = [value for _, value in values if value]
    if not total:
        return []
    room = CHART_WIDTH - GAP * (len(seen) - 1)
    least = [max(value / total * room, SMALLEST) if value else 0.0 for _, value in values]
    spare = sum(width - SMALLEST for width in least if width)
    excess = sum(least) - room
    parts, start = [], 0.0
    for (name, value), wide in zip(values, least, strict=True):
        width = wide - excess * (wide - SMALLEST) / spare if wide and spare else wide
        parts.append({"name": name, "count": value, "share": value / total, "x": start, "width": width})
        start += width + GAP if value else 0.0
    return parts


@cache
def page_template() -> Template:
    """The page's layout, compiled: once a process, in 30 ms."""
    environment = Environment(
        loader=PackageLoader("import_pipeline.flow", "reports"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["ticks"] = _ticks
    environment.filters["name"] = lambda key: str(key).rsplit("/", 1)[-1]
    return environment.get_template(TEMPLATE)


def _visible(value: Any) -> Any:
    """Text without characters that hide or turn what stands beside them."""
    return value.translate(_HIDDEN) if isinstance(value, str) else value


def _ticks(text: str) -> Markup:
    """Escaped text in which `words between ticks` are code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _when(moment: str | None, timezone: str, language: Language) -> str:
    """A moment (ISO 8601) as the sender's calendar and clock show it; empty for None."""
    if not moment:
        return ""
    local = datetime.fromisoformat(moment).astimezone(ZoneInfo(timezone))
    return f"{format_datetime(local, 'medium', locale=LOCALES[language])} ({timezone})"
