"""The exit code of every outcome, so that a script needs no parsing.

2, a mistake in the command itself, is typer's own; 130 is Ctrl-C.
"""

from import_pipeline.records import UploadState

TROUBLE = 1
USAGE = 2
REJECTS = 3
REFUSED = 4
FAILED = 5
DUPLICATE_FILE = 6
INTERRUPTED = 130

BY_STATE: dict[UploadState, int] = {
    "completed": 0,
    "expanded": 0,
    "undone": 0,
    "completed_with_rejects": REJECTS,
    "refused": REFUSED,
    "failed": FAILED,
    "cancelled": FAILED,
    "ignored": FAILED,
    "duplicate_file": DUPLICATE_FILE,
}


def exit_code(state: UploadState, rejected: int | None) -> int:
    """0 completed, 3 completed with rejects, 4 refused, 5 failed or cancelled, 6 duplicate file.

    A dry run ends `checked`: 0, or 3 if it found rejects. A state that is no end: 1.
    """
    if state == "checked":
        return REJECTS if rejected else 0
    return BY_STATE.get(state, TROUBLE)
