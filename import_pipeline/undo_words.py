"""What an undo did, or would do, in words for people who run the pipeline: log, UI and command line."""

from import_pipeline.ledger.states import RERUN_STATES
from import_pipeline.records import DependingUpload, LeftCode, UndoneUpload

WHY_LEFT: dict[LeftCode, str] = {
    "changed_since": "changed since the import",
    "referenced": "referred to by another table",
}


def undo_sentences(undone: UndoneUpload, file_name: str) -> list[str]:
    """One sentence a fact; of rows that do not occur nothing is said."""
    verb = "Would be undone" if undone.dry_run else "Undone"
    said = [
        f"{verb}: {file_name} ({undone.upload_id}); {_rows(undone.removed)} taken out, "
        f"{_rows(undone.restored)} put back as before."
    ]
    said += [
        f"{_rows(count)} left: {WHY_LEFT[code]}." for code, count in sorted(undone.left.items()) if count
    ]
    if undone.overwritten:
        said.append(
            f"{_rows(undone.overwritten)} overwritten by later uploads: they stay as those wrote them."
        )
    if undone.gone:
        said.append(f"{_rows(undone.gone)} were not there any more.")
    said += [
        f"{_rows(one.rows)} of {one.upload_id} were not loaded because of it; to bring them in: "
        f"{command_for(one)}"
        for one in undone.depending
    ]
    return said


def left_table(undone: UndoneUpload) -> list[dict[str, object]]:
    """The first rows that stay, with their keys (personal values are masked) and why."""
    return [
        {
            "row": row.row_number,
            "key": ", ".join(f"{name}: {value}" for name, value in row.key.items()),
            "why": WHY_LEFT[row.code],
        }
        for row in undone.left_rows
    ]


def depending_table(undone: UndoneUpload) -> list[dict[str, object]]:
    """Uploads whose rows were not loaded because of the undone one, and what brings them in."""
    return [
        {"upload": one.upload_id, "rows": one.rows, "state": one.state, "command": command_for(one)}
        for one in undone.depending
    ]


def command_for(upload: DependingUpload) -> str:
    """What to type to bring in what an upload lacks now.

    A correction cannot be brought in beside itself: each of its rows puts a reject right once.
    """
    name = upload.upload_id.rsplit("@", 1)[-1]
    if upload.state in RERUN_STATES:
        return f"import-pipeline retry {name}"
    if upload.correction:
        return f"import-pipeline undo {name}, then import-pipeline retry {name}"
    return f"import-pipeline reimport {name}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
