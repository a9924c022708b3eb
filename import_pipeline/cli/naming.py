"""Which upload a person means: by upload id, short id, the name they gave it, or file name."""

import psycopg
import typer

from import_pipeline.cli.console import time_text, warn
from import_pipeline.ledger.queries import find_uploads
from import_pipeline.ledger.rows import UploadRow

SHOWN = 5


def choose_upload(conn: psycopg.Connection, text: str, *, only: bool = False) -> UploadRow:
    """The upload that `text` names; of several with one name the newest.

    Args:
        only: refuse a name that several uploads have (for commands that change something).

    Raises:
        typer.BadParameter: no upload has that name, or several have.
    """
    found = find_uploads(conn, text)
    if not found:
        raise typer.BadParameter(
            f"There is no upload {text!r}. `import-pipeline history` lists them.", param_hint="UPLOAD"
        )
    if len(found) > 1 and only:
        ids = ", ".join(f"{row.short_id} ({time_text(row.detected_at)})" for row in found[:SHOWN])
        raise typer.BadParameter(
            f"{len(found)} uploads are named {text!r}; say which by its short id: {ids}.",
            param_hint="UPLOAD",
        )
    if len(found) > 1:
        warn(f"{len(found)} uploads are named {text!r}; this is the newest, {found[0].short_id}.")
    return found[0]
