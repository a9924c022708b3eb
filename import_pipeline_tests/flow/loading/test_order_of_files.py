"""Files of a dataset that updates, loaded in any order: what was sent last stands, whatever came first."""

from datetime import datetime, timedelta
from itertools import count, permutations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline.records import PublishedUpload
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, World, thing, things

WORKSPACES = count(1)
# Of each file the day it was sent and the codes of its rows; two may be of the same second.
FILES = st.lists(
    st.tuples(st.integers(0, 2), st.sets(st.sampled_from("abc"), min_size=1)), min_size=2, max_size=3
)


def values(world: World, workspace: str) -> list[tuple[Any, ...]]:
    return world.query(
        "SELECT code, name, _source_time FROM things WHERE _workspace = %s ORDER BY code", workspace
    )


def sent(world: World, name: str, codes: Any, at: datetime, *, workspace: str = "acme") -> MadeUpload:
    """A file in which every row has the file's name as its value."""
    rows = [thing(code, name) for code in sorted(codes)]
    return world.make(things(existing="update"), rows, name=name, at=at, workspace=workspace, batches=1)


def test_files_of_different_values_end_the_same_in_all_orders_the_newest_of_each_key_stands(
    world: World,
) -> None:
    """Of files of one second the greater identity wins; a row that an application wrote is the oldest."""
    world.install(things(existing="update"))

    @settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(FILES, st.sets(st.sampled_from("abc")))
    def same(files: list[tuple[int, set[str]]], written_by_hand: set[str]) -> None:
        ends = []
        for order in permutations(range(len(files))):
            workspace = f"w{next(WORKSPACES)}"
            for code in sorted(written_by_hand):
                world.query(
                    "INSERT INTO things (_workspace, code, name) VALUES (%s, %s, 'by hand')", workspace, code
                )
            made = [
                sent(world, f"file {n}", codes, NOON + timedelta(days=day), workspace=workspace)
                for n, (day, codes) in enumerate(files)
            ]
            for n in order:
                world.load(made[n])
            newest: dict[str, tuple[str, datetime | None]] = dict.fromkeys(written_by_hand, ("by hand", None))
            for upload in sorted(made, key=lambda m: (m.opened.source_time, m.opened.short_id)):
                name, at = upload.opened.file_name, upload.opened.source_time
                newest |= dict.fromkeys(files[int(name[-1])][1], (name, at))
            assert values(world, workspace) == [(code, *newest[code]) for code in sorted(newest)]
            ends.append({code: at for code, _, at in values(world, workspace)})
        assert all(end == ends[0] for end in ends)

    same()


def test_an_older_file_after_a_newer_one_changes_no_row_of_the_newer(world: World) -> None:
    world.install(things(existing="update"))
    world.load(sent(world, "newer", "ab", NOON + timedelta(days=1)))

    late: PublishedUpload = world.load(sent(world, "older", "bc", NOON))

    assert (late.counts.inserted, late.duplicates) == (1, {"newer_in_table": 1})
    assert [(code, name) for code, name, _ in values(world, "acme")] == [
        ("a", "newer"), ("b", "newer"), ("c", "older"),
    ]  # fmt: skip


def test_of_two_files_of_one_second_the_greater_identity_wins_in_both_orders(world: World) -> None:
    world.install(things(existing="update"))
    for workspace, order in (("acme", (0, 1)), ("beta", (1, 0))):
        made = [sent(world, name, "a", NOON, workspace=workspace) for name in ("one", "two")]
        for n in order:
            world.load(made[n])
        greater = max(made, key=lambda m: m.opened.short_id)
        assert values(world, workspace) == [("a", greater.opened.file_name, NOON)]


def test_a_row_without_a_source_time_is_older_than_any_file(world: World) -> None:
    world.install(things(existing="update"))
    world.query("INSERT INTO things (_workspace, code, name) VALUES ('acme', 'a', 'by hand')")
    assert world.load(sent(world, "file", "a", NOON - timedelta(days=9999))).counts.updated == 1
    assert values(world, "acme")[0][1] == "file"


def test_a_value_that_a_newer_file_repeats_stays_as_old_as_it_was(world: World) -> None:
    """An unchanged row is not written, so that a full export sent again every day costs little: a file
    from between the two, which arrives after both with another value, overwrites it."""
    world.install(things(existing="update"))
    days = [NOON + timedelta(days=day) for day in (0, 2, 1)]
    first, again, between = (
        world.make(things(existing="update"), [thing("a", name)], at=at, batches=1)
        for name, at in zip(("same", "same", "other"), days, strict=True)
    )
    assert [world.load(made).counts.unchanged for made in (first, again)] == [0, 1]
    assert values(world, "acme") == [("a", "same", days[0])]
    assert world.load(between).counts.updated == 1
