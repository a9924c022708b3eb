"""What a sample file is: its bytes, where it is dropped, and what its import must give."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.records import Counts, UploadState


@dataclass(frozen=True)
class Sample:
    """One sample file with its exact expected outcome in an empty workspace.

    Attributes:
        title: what it shows, for people.
        content: makes the bytes, the same at every call.
        after: name of the sample whose rows must be in the table first; empty: none.
        codes: errors and duplicates by code, as the report lists them.
        options: what its sender states about it.
    """

    file_name: str
    workspace: str
    dataset: str
    title: str
    state: UploadState
    counts: Counts
    content: Callable[[], bytes]
    after: str = ""
    codes: Mapping[str, int] = field(default_factory=dict)
    options: SenderOptions = field(default_factory=SenderOptions)

    def write(self, folder: Path) -> Path:
        """Write the file into `folder`; its path."""
        path = folder / self.file_name
        path.write_bytes(self.content())
        return path
