"""Files of an archive as arrivals, and where outcomes put the archive."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from import_pipeline.flow.arrivals.identity import identity
from import_pipeline.flow.arrivals.members import (
    FINAL_STATES,
    ArchiveMember,
    member_arrivals,
    place_of_archive,
)
from import_pipeline.ledger.states import STATES
from import_pipeline.records import ListedObject

LISTED = ListedObject(
    "b", "uploads/acme/leads/sub/leads.zip", "e", 99, datetime(2026, 3, 1, tzinfo=UTC), "v1"
)


@dataclass(frozen=True)
class Row:
    upload_id: str = "acme/sub/leads.zip@0123456789ab"
    workspace: str | None = "acme"
    dataset: str | None = "leads"
    file_name: str = "leads.zip"
    listed: ListedObject = LISTED


def test_a_member_has_place_and_time_of_its_archive_and_size_and_identity_of_its_own() -> None:
    [member] = member_arrivals(Row(), [ArchiveMember("2026/janeiro.csv", 7)])

    assert member.identity == identity(LISTED, "2026/janeiro.csv") != identity(LISTED)
    assert member.upload_id == f"acme/sub/leads.zip/2026/janeiro.csv@{member.short_id}"
    assert (member.parent, member.member) == (Row().upload_id, "2026/janeiro.csv")
    assert member.file_name == "leads.zip › 2026/janeiro.csv"
    listed = member.listed
    assert (listed.key, listed.etag, listed.version_id, listed.size) == (LISTED.key, "e", "v1", 7)


def test_names_that_look_like_paths_elsewhere_give_safe_upload_ids_and_stay_distinct() -> None:
    names = ["../../etc/passwd", "/etc/passwd", "etc/passwd", "etc\\passwd", "./etc//passwd", "a\n|,[]\x7f"]
    found = member_arrivals(Row(), [ArchiveMember(name, 1) for name in names])

    assert len({arrival.upload_id for arrival in found}) == len(names)
    for arrival in found:
        assert arrival.upload_id.startswith("acme/sub/leads.zip/")
        assert not any(part in arrival.upload_id for part in ("..", "//", "|", ",", "\n", "\x7f"))
    assert [arrival.member for arrival in found] == names


def test_a_long_path_keeps_its_end() -> None:
    [member] = member_arrivals(Row(), [ArchiveMember("x/" * 2000 + "janeiro.csv", 1)])
    assert member.upload_id.endswith(f"janeiro.csv@{member.short_id}")
    assert len(member.upload_id) < 160


@pytest.mark.parametrize("state", [s for s in STATES if s not in FINAL_STATES])
def test_an_archive_stays_while_a_member_may_still_need_it(state: str) -> None:
    assert place_of_archive(["completed", state], keep=True) == "stays"  # type: ignore[list-item]
    assert place_of_archive(["completed", state], keep=False) == "stays"  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("states", "kept", "not_kept"),
    [
        (["completed", "completed_with_rejects"], "archive", "deleted"),
        (["checked"], "archive", "archive"),
        (["completed", "checked", "refused"], "archive", "archive"),
        (["duplicate_file", "undone"], "archive", "deleted"),
        (["completed", "refused"], "archive", "quarantine"),
        (["refused", "refused"], "quarantine", "quarantine"),
    ],
)
def test_outcomes_put_an_archive_in_its_place(states: list[str], kept: str, not_kept: str) -> None:
    assert place_of_archive(states, keep=True) == kept  # type: ignore[arg-type]
    assert place_of_archive(states, keep=False) == not_kept  # type: ignore[arg-type]
