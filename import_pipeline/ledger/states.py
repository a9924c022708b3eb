"""The states of an upload and the one table of transitions between them.

`migrate` writes `TRANSITIONS` into `imports.transitions`, where the trigger on
`imports.uploads` looks each change up: no statement gets past it.
"""

from typing import Final, get_args

from import_pipeline.records import UploadState

STATES: Final[tuple[UploadState, ...]] = get_args(UploadState)
FIRST_STATES: Final[tuple[UploadState, ...]] = ("detected", "ignored")
PUBLISHED_STATES: Final[tuple[UploadState, ...]] = ("completed", "completed_with_rejects")
COUNTED_STATES: Final[tuple[UploadState, ...]] = (*PUBLISHED_STATES, "checked", "undone")
RERUN_STATES: Final[tuple[UploadState, ...]] = (
    "failed", "cancelled", "checked", "undone", "refused", "duplicate_file",
)  # fmt: skip
UNSTARTED_STATES: Final[tuple[UploadState, ...]] = ("detected", "queued")

TRANSITIONS: Final[tuple[tuple[UploadState, UploadState, str], ...]] = (
    ("ignored", "detected", "its dataset and workspace are known now"),
    ("detected", "ignored", "its dataset or workspace is no longer known"),
    ("detected", "queued", "a run is asked for"),
    ("detected", "running", "its run was faster than the sensor's note of it"),
    ("detected", "failed", "its run ended before its first ledger call"),
    ("detected", "cancelled", "cancelled before a run was asked for"),
    ("queued", "detected", "no run within two minutes: launched again under the next launch number"),
    ("queued", "running", "the run's first ledger call"),
    ("queued", "failed", "its run ended before its first ledger call"),
    ("queued", "cancelled", "cancelled while waiting"),
    ("running", "completed", "published, every row valid"),
    ("running", "completed_with_rejects", "published, with rejects"),
    ("running", "checked", "a dry run is done"),
    ("running", "expanded", "an archive whose members became uploads"),
    ("running", "duplicate_file", "the same bytes were published before"),
    ("running", "refused", "the file's fault"),
    ("running", "failed", "our fault, or the run is gone"),
    ("running", "cancelled", "its run was cancelled"),
    ("completed", "undone", "its rows were taken out again"),
    ("completed_with_rejects", "undone", "its rows were taken out again"),
    *((state, "running", "launched again by hand or by a schedule") for state in RERUN_STATES),
    *((state, "detected", "to be launched again by the sensor") for state in RERUN_STATES),
)
