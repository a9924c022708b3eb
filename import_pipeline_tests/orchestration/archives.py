"""Archives for tests: packed, dropped, and what became of them and their files."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from import_pipeline.orchestration.build import build_defs
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.zip"
JANUARY = "E-mail;Nome\nana@exemplo.com;Ana\n"
FEBRUARY = "E-mail;Nome\nbia@exemplo.com;Bia\ncaio@exemplo.com;Caio\n"
NO_KEY_COLUMN = "Nome\nAna\n"
FILES = {"janeiro.csv": JANUARY, "2026/fevereiro.csv": FEBRUARY}


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 1, 12, 0, 0)), content)
    return packed.getvalue()


def expand(world: World, files: Mapping[str, str | bytes] = FILES, **metadata: str) -> dict[str, Any]:
    """Drop an archive and let its own run expand it; the archive's row."""
    world.put(KEY, zipped(files), **metadata)
    assert len(world.tick()) == 1
    return archive(world)


def archive(world: World) -> dict[str, Any]:
    (row,) = world.sql("SELECT * FROM imports.uploads WHERE parent IS NULL")
    return row


def members(world: World) -> dict[str, dict[str, Any]]:
    rows = world.sql("SELECT * FROM imports.uploads WHERE parent IS NOT NULL")
    return {row["member"]: row for row in rows}


def states(world: World) -> dict[str, str]:
    return {name: row["state"] for name, row in members(world).items()}


def archived(row: dict[str, Any]) -> str:
    return f"archive/acme/leads/{row['short_id']}/leads.zip"


def quarantined(row: dict[str, Any]) -> str:
    return f"quarantine/acme/leads/{row['short_id']}/leads.zip"


def originals_of(world: World) -> list[str]:
    return [key for place in ("uploads/", "archive/", "quarantine/") for key in world.keys(place)]


def keep_no_originals(world: World) -> None:
    world.datasets["leads"] = replace(world.datasets["leads"], keep_original=False)
    world.defs = build_defs(datasets=world.datasets)
