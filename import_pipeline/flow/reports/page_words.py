"""The sentences of the page: what happened in one line, what to do next, and names of things found out.

All take the content of summary.json and give sentences that are translated where they are shown; how the
page looks is `page.html.j2`'s.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from import_pipeline.language import Told, told
from import_pipeline.storage.places import UPLOADS

Summary = Mapping[str, Any]
Tone = Literal["good", "mixed", "bad", "info"]

TONES: Mapping[str, Tone] = {
    "completed": "good",
    "completed_with_rejects": "mixed",
    "refused": "bad",
    "failed": "bad",
}
STATES: Mapping[str, Told] = {
    "completed": told("Imported"),
    "completed_with_rejects": told("Imported, with rejected rows"),
    "checked": told("Checked, nothing was loaded"),
    "duplicate_file": told("Imported before"),
    "expanded": told("Archive unpacked"),
    "refused": told("Refused"),
}
COUNTERS: Mapping[str, Told] = {
    "inserted": told("New rows"),
    "updated": told("Updated"),
    "unchanged": told("Unchanged"),
    "duplicate": told("Duplicates"),
    "rejected": told("Rejected"),
}
# What `Detected.what` and the verdicts on columns are called.
THINGS: Mapping[str, Told] = {
    "format": told("Format"),
    "compression": told("Compression"),
    "encoding": told("Encoding"),
    "delimiter": told("Delimiter"),
    "quoting": told("Quotes"),
    "line ends": told("Line ends"),
    "header row": told("Header row"),
    "sheets": told("Sheets"),
    "rows": told("Rows"),
    "decimal mark": told("Decimal mark"),
    "date order": told("Order of dates"),
}
VALUES: Mapping[tuple[str, Any], Told] = {
    ("delimiter", ","): told("comma"),
    ("delimiter", ";"): told("semicolon"),
    ("delimiter", "\t"): told("tab"),
    ("delimiter", "|"): told("vertical bar"),
    ("quoting", ""): told("none"),
    ("decimal mark", ","): told("comma: 1.234,56"),
    ("decimal mark", "."): told("point: 1,234.56"),
    ("decimal mark", "mixed"): told("both"),
    ("decimal mark", None): told("not settled"),
    ("date order", "dmy"): told("day, month, year"),
    ("date order", "mdy"): told("month, day, year"),
    ("date order", "ymd"): told("year, month, day"),
    ("date order", "mixed"): told("both"),
    ("date order", None): told("not settled"),
}
TREATMENTS: Mapping[str, Told] = {
    "keep": told("They are not known and were stored as they are, beside the known ones."),
    "ignore": told("They are not known and were left out."),
    "refuse": told("They are not known and not allowed."),
}
IGNORED: Mapping[str, Told] = {
    "repeated_header": told("the header again"),
    "footer": told("a footer"),
}


def headline(summary: Summary) -> Told:
    """What happened, in one sentence."""
    state, file = summary["state"], summary["file_name"]
    counts = summary.get("counts", {})
    if state == "refused":
        return told("{file} was refused: nothing of it was imported.", file=file)
    if state == "duplicate_file":
        return told("{file} was imported before: nothing was loaded twice.", file=file)
    if state == "expanded":
        return told("{file} is an archive: each file in it is an import of its own.", file=file)
    if state == "checked":
        return _checked(file, counts)
    if not counts.get("read"):
        return told("{file} has no rows: nothing was imported.", file=file)
    return _imported(file, counts)


def _imported(file: str, counts: Mapping[str, int]) -> Told:
    loaded, rejected = counts["inserted"] + counts["updated"], counts["rejected"]
    facts = {"file": file, "read": counts["read"], "loaded": loaded, "rejected": rejected}
    if rejected == 1:
        return told(
            "{loaded:,} of {read:,} rows of {file} were imported; one came back with an error.", **facts
        )
    if rejected:
        return told(
            "{loaded:,} of {read:,} rows of {file} were imported; {rejected:,} came back with errors.",
            **facts,
        )
    if loaded == counts["read"]:
        if loaded == 1:
            return told("The one row of {file} was imported.", **facts)
        return told("All {read:,} rows of {file} were imported.", **facts)
    return told(
        "{loaded:,} of {read:,} rows of {file} were imported; the others were repeated or known already.",
        **facts,
    )


def _checked(file: str, counts: Mapping[str, int]) -> Told:
    loaded, rejected = counts["inserted"] + counts["updated"], counts["rejected"]
    facts = {"file": file, "read": counts["read"], "loaded": loaded, "rejected": rejected}
    if not counts["read"]:
        return told("{file} was checked: it has no rows.", **facts)
    if rejected:
        return told(
            "{file} was checked: of {read:,} rows, {loaded:,} would be imported and {rejected:,} rejected.",
            **facts,
        )
    return told(
        "{file} was checked: of {read:,} rows, {loaded:,} would be imported and none rejected.", **facts
    )


def steps(summary: Summary) -> list[Told]:
    """What the sender does next, in order; empty if there is nothing to do."""
    if summary.get("checked_locally"):
        return _after_local_check(summary)
    after = _AFTER.get(summary["state"])
    return after(summary) if after else []


def _after_import(summary: Summary) -> list[Told]:
    rejected = _name(summary, "rejected")
    if not rejected:
        return []
    return [
        told("Open {file}: it has only the rejected rows, each with its errors in the last column.",
             file=rejected),
        told("Correct the cells. Leave the columns `_import_row`, `_import_upload` and `_import_errors` "
             "as they are."),
        told("Drop the corrected file into `{folder}` again: exactly those rows are repaired, nothing is "
             "loaded twice.", folder=_folder(summary)),
    ]  # fmt: skip


def _after_check(summary: Summary) -> list[Told]:
    found = [told("Send the file again without `dry-run` to import it.")]
    rejected = _name(summary, "rejected")
    if rejected:
        found.insert(0, told("Correct the rejected rows in your file; {file} lists them.", file=rejected))
    return found


def _after_duplicate(summary: Summary) -> list[Told]:
    return [told("Nothing to do. To import the same bytes once more all the same, state the option `force`.")]


def _after_expansion(summary: Summary) -> list[Told]:
    return [told("Nothing to do: each file has a report of its own, as soon as it is imported.")]


def _after_refusal(summary: Summary) -> list[Told]:
    found = _remedy(summary)
    rejected = _name(summary, "rejected")
    if rejected:
        found.append(told("Look at {file}: it has the rows with errors.", file=rejected))
    found.append(told("Put the file into `{folder}` again.", folder=_folder(summary)))
    return found


def _after_local_check(summary: Summary) -> list[Told]:
    found = _remedy(summary)
    rejected = _name(summary, "rejected")
    if rejected:
        found.append(told("Correct the rejected rows in your file; {file} lists them.", file=rejected))
    if found:
        found.append(told("Check the file again."))
    return found


def _remedy(summary: Summary) -> list[Told]:
    """What settles a refusal: the remedy, and the option that does it."""
    found = []
    error = summary.get("error") or {}
    if error.get("remedy"):
        # The remedy was said in the sender's language when the summary was made.
        found.append(told("{remedy}", remedy=error["remedy"]))
    if error.get("option"):
        found.append(
            told(
                "If the file itself is right, state the option `{option}` when you send it: on the command "
                "line `--{option}`, with any S3 client the metadata `x-amz-meta-{option}`.",
                option=error["option"],
            )
        )
    return found


_AFTER: Mapping[str, Callable[[Summary], list[Told]]] = {
    "completed_with_rejects": _after_import,
    "checked": _after_check,
    "duplicate_file": _after_duplicate,
    "expanded": _after_expansion,
    "refused": _after_refusal,
}


def _folder(summary: Summary) -> str:
    """Where the sender put the file."""
    return f"{UPLOADS}{summary['workspace']}/{summary['dataset']}/"


def _name(summary: Summary, which: str) -> str:
    """The name of a file of the report; empty if it was not written."""
    key = (summary.get("files") or {}).get(which)
    return str(key).rsplit("/", 1)[-1] if key else ""


def thing(what: str) -> str:
    """The name of a thing that was found out."""
    return THINGS.get(what, what)


def value_of(entry: Mapping[str, Any]) -> str:
    """What was found out, in words where a character or code says little."""
    value = entry["value"]
    if entry["what"] == "line ends":
        return ", ".join(re.split(r", | and ", value))
    return VALUES.get((entry["what"], value), "" if value is None else str(value))


def other_value(option: str, value: Any) -> str:
    """A value that the sender might state instead, for the example of an option."""
    others = {
        "decimal": "." if value == "," else ",",
        "date-order": "mdy" if value == "dmy" else "dmy",
        "delimiter": "," if value == ";" else ";",
        "encoding": "cp1252" if str(value).startswith("utf-8") else "utf-8",
        "header-row": "3",
        "sheet": "Plan1",
        "on-existing": "update",
    }
    return others.get(option, "…")
