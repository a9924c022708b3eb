"""Identities and upload ids: no two arrivals share one, and no key breaks a partition key."""

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from import_pipeline.flow.arrivals.identity import (
    identity,
    is_never_an_import,
    make_safe,
    parse_key,
    short_id,
    upload_id,
)
from import_pipeline.records import ListedObject

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OBJECT = ListedObject("imports", "uploads/acme/leads/a.csv", "0" * 32, 10, NOON)
HEX = "0123456789ab" + "c" * 52
texts = st.text(max_size=300)


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": "other"},
        {"key": "uploads/acme/leads/b.csv"},
        {"etag": "1" * 32},
        {"size": 11},
        {"last_modified": NOON + timedelta(seconds=1)},
    ],
)
def test_each_part_of_an_arrival_changes_its_identity(change: dict) -> None:
    assert identity(replace(OBJECT, **change)) != identity(OBJECT)
    assert identity(OBJECT, "inner.csv") != identity(OBJECT)


def test_an_identity_does_not_depend_on_version_or_time_zone() -> None:
    elsewhere = OBJECT.last_modified.astimezone(tz=None)
    assert identity(replace(OBJECT, version_id="v1", last_modified=elsewhere)) == identity(OBJECT)


def test_an_identity_stays_the_same_from_release_to_release() -> None:
    """The ledger's unique key: another encoding would import every file once more."""
    assert identity(OBJECT).startswith("87f8cf873cee")


@given(st.lists(texts, min_size=3, max_size=3), st.lists(texts, min_size=3, max_size=3))
@example(["a", "bc", ""], ["ab", "c", ""])
@example(["a", "", "b"], ["a", "b", ""])
def test_parts_never_run_together(one: list[str], two: list[str]) -> None:
    def made(parts: list[str]) -> str:
        return identity(ListedObject(parts[0], parts[1], parts[2], 1, NOON))

    assert (made(one) == made(two)) == (one == two)


@given(texts)
@example("a|b,c[d]\n\u2028\u202eevil....csv")
@example("e\u0301..\u0301")
def test_a_safe_path_has_no_character_that_dagster_or_a_log_reads_otherwise(path: str) -> None:
    safe = make_safe(path)
    assert not set(safe) & set("|,[]")
    assert not {unicodedata.category(c) for c in safe} & {"Cc", "Cf", "Zl", "Zp"}
    assert ".." not in safe
    assert unicodedata.is_normalized("NFC", safe)
    assert make_safe(safe) == safe


@given(texts)
def test_a_plain_path_is_left_as_it_is(path: str) -> None:
    plain = "".join(c for c in path if c.isascii() and (c.isalnum() or c in " _-/@+%#"))
    assert make_safe(plain) == plain


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True), texts)
@example("w", "e\u0301" * 200 + "x" * 119)
@example("w", "x" * 10 + "q\u0323" + "y" * 119)
def test_an_upload_id_is_short_and_ends_with_the_short_id(workspace: str, path: str) -> None:
    made = upload_id(workspace, path, HEX)
    middle = made.removeprefix(f"{workspace}/").removesuffix("@0123456789ab")
    assert made == f"{workspace}/{middle}@0123456789ab"
    assert len(middle) <= 120
    assert make_safe(path).endswith(middle)
    if len(make_safe(path)) > 120:
        assert not unicodedata.category((middle or "x")[0]).startswith("M")


def test_an_upload_id_shows_workspace_path_and_short_id() -> None:
    assert upload_id("acme", "2026/março..csv", HEX) == "acme/2026/março.csv@0123456789ab"
    assert short_id(HEX) == "0123456789ab"


@pytest.mark.parametrize(
    ("key", "workspace", "dataset", "path", "file_name"),
    [
        ("uploads/acme/leads/a.csv", "acme", "leads", "a.csv", "a.csv"),
        ("uploads/acme/leads/x/y/a.csv", "acme", "leads", "x/y/a.csv", "a.csv"),
        ("uploads/acme/leads//a.csv", "acme", "leads", "/a.csv", "a.csv"),
        ("uploads/Acme/Leads/a.csv", None, None, "a.csv", "a.csv"),
        ("uploads/acme/a.csv", "acme", None, "a.csv", "a.csv"),
        ("uploads/a.csv", None, None, "a.csv", "a.csv"),
        ("uploads/-x/leads/a.csv", None, "leads", "a.csv", "a.csv"),
        ("uploads/" + "w" * 64 + "/leads/a.csv", None, "leads", "a.csv", "a.csv"),
        ("uploads/acme\n/leads/a.csv", None, "leads", "a.csv", "a.csv"),
    ],
)
def test_a_key_names_workspace_and_dataset_only_if_they_could_exist(
    key: str, workspace: str | None, dataset: str | None, path: str, file_name: str
) -> None:
    parts = parse_key(key)
    assert (parts.workspace, parts.dataset, parts.path, parts.file_name) == (
        workspace, dataset, path, file_name,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["", ".hidden", "..", "~$open.xlsx", "a.csv.part", "A.TMP", "_SUCCESS", ".a.csv"]
)
def test_names_that_are_never_imports(name: str) -> None:
    assert is_never_an_import(f"uploads/acme/leads/{name}")


@pytest.mark.parametrize("name", ["a.csv", "a.tmp.csv", "part", "_SUCCESS.csv", "~a.csv", "a.", "tmp"])
def test_names_that_may_be_imports(name: str) -> None:
    assert not is_never_an_import(f"uploads/.hidden/leads/{name}")
