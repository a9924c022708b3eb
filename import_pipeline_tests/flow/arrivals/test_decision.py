"""What is new, what is ignored and why, and whose turn it is."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.flow.arrivals.decision import (
    Arrival,
    KnownUpload,
    choose_launches,
    classify,
    priorities,
    run_key,
)
from import_pipeline.flow.arrivals.identity import identity
from import_pipeline.records import ListedObject

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATASETS = {"leads", "vehicles"}


def listed(key: str, etag: str = "e", minute: int = 0) -> ListedObject:
    return ListedObject("imports", key, etag, 10, NOON + timedelta(minutes=minute))


def classified(*objects: ListedObject, known: set[str] = frozenset(), workspaces=None) -> list[Arrival]:
    return classify(objects, datasets=DATASETS, workspaces=workspaces, known=known)


def test_only_what_the_ledger_does_not_know_is_new_oldest_first() -> None:
    old, late, early = (
        listed("uploads/acme/leads/0.csv"),
        listed("uploads/acme/leads/1.csv", minute=2),
        listed("uploads/acme/leads/2.csv", minute=1),
    )
    arrivals = classified(old, late, early, known={identity(old)})
    assert [a.listed for a in arrivals] == [early, late]
    assert all(a.ignored_reason is None for a in arrivals)
    assert arrivals[0].upload_id == f"acme/2.csv@{arrivals[0].short_id}"


def test_files_of_one_second_are_all_seen() -> None:
    """A cursor on time loses them: here the ledger alone says what is known."""
    first, second = listed("uploads/acme/leads/1.csv"), listed("uploads/acme/leads/2.csv")
    assert [a.listed for a in classified(first, second, known={identity(first)})] == [second]


def test_the_same_bytes_at_the_same_key_later_are_a_new_arrival() -> None:
    first, again = listed("uploads/acme/leads/1.csv"), listed("uploads/acme/leads/1.csv", minute=1)
    assert len(classified(again, known={identity(first)})) == 1


def test_names_that_are_never_imports_leave_no_record() -> None:
    assert classified(listed("uploads/acme/leads/"), listed("uploads/x/.DS_Store")) == []


@pytest.mark.parametrize(
    ("key", "workspace", "dataset", "path", "words"),
    [
        ("uploads/acme/leeds/a.csv", "acme", "leeds", "a.csv",
         "There is no dataset `leeds`. Did you mean `leads`? Datasets: leads, vehicles."),
        ("uploads/acme/Leads/a.csv", "acme", None, "Leads/a.csv", "Did you mean `leads`?"),
        ("uploads/acme/zebras/a.csv", "acme", "zebras", "a.csv",
         "There is no dataset `zebras`. Datasets: leads, vehicles."),
        ("uploads/acme/a.csv", "acme", None, "a.csv", "directly in uploads/acme/"),
        ("uploads/a.csv", None, None, "a.csv", "directly in uploads/"),
        ("uploads/ACME/leads/a.csv", None, "leads", "ACME/leads/a.csv", "`ACME` cannot be a workspace"),
        ("uploads/acme/leads/a\0.csv", "acme", None, "a_.csv", "has a NUL"),
        ("uploads/acne/leads/a.csv", "acne", "leads", "a.csv", "Did you mean `acme`?"),
        ("uploads/a\nb|c/leads/a.csv", None, "leads", "a_b_c/leads/a.csv", "`a_b_c` cannot be"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_recorded_with_its_reason(
    key: str, workspace: str | None, dataset: str | None, path: str, words: str
) -> None:
    (arrival,) = classified(listed(key), workspaces={"acme", "beta"})
    assert (arrival.workspace, arrival.dataset) == (workspace, dataset)
    assert words in (arrival.ignored_reason or "")
    assert arrival.upload_id == f"{workspace or '_'}/{path}@{arrival.short_id}"
    assert "\n" not in (arrival.ignored_reason or "")


def test_without_a_list_of_workspaces_every_valid_name_imports() -> None:
    (arrival,) = classified(listed("uploads/anyone-at_all/leads/a.csv"))
    assert arrival.ignored_reason is None


def waiting(workspace: str, minute: int) -> KnownUpload:
    return KnownUpload(f"{workspace}/{minute}", workspace, "leads", 1, NOON + timedelta(minutes=minute), 1)


def test_workspaces_take_turns_and_each_sends_its_oldest_first() -> None:
    line = [waiting("big", n) for n in range(5)] + [waiting("late", 60), waiting("small", 3)]
    chosen = choose_launches(line, {}, at_most=5, per_workspace=50)
    assert [u.upload_id for u in chosen] == ["big/0", "small/3", "late/60", "big/1", "big/2"]


def test_a_workspace_with_a_full_queue_waits() -> None:
    line = [waiting("full", n) for n in range(5)] + [waiting("free", 9)]
    chosen = choose_launches(line, {"full": 49, "free": 0}, at_most=25, per_workspace=50)
    assert [u.upload_id for u in chosen] == ["full/0", "free/9"]
    assert choose_launches(line, {"full": 60, "free": 50}, at_most=25, per_workspace=50) == []


def test_a_workspace_queues_behind_its_own_runs_and_beside_the_head_of_the_others() -> None:
    launches = [waiting("big", 9), waiting("small", 9), waiting("small", 10), waiting("mid", 9)]
    queued = {"big": [-7, -5, -6], "mid": [-9], "gone": []}
    assert priorities(launches, queued) == [-8, -5, -6, -10]
    assert priorities(launches, {}) == [0, 0, -1, 0]


uploads = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 500)), max_size=60, unique=True
).map(lambda pairs: [waiting(*p) for p in pairs])


@given(uploads, st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9)), st.integers(1, 25))
def test_launches_keep_every_limit_and_leave_no_room_unused(
    line: list[KnownUpload], queued: dict[str, int], at_most: int
) -> None:
    chosen = choose_launches(line, queued, at_most=at_most, per_workspace=6)
    per = Counter(u.workspace for u in chosen)
    rest = [u for u in line if u not in chosen]
    room = {w: max(0, 6 - queued.get(w, 0)) for w in "abc"}
    assert len(chosen) == len(set(chosen)) <= at_most
    assert all(per[w] <= room[w] for w in per)
    if len(chosen) < at_most:
        assert all(per[u.workspace] == room[u.workspace] for u in rest)
    for u in rest:
        assert all(c.last_modified <= u.last_modified for c in chosen if c.workspace == u.workspace)
        if per[u.workspace] < room[u.workspace]:
            assert per[u.workspace] >= max(per.values()) - 1


def test_each_launch_of_an_upload_has_a_run_key_of_its_own() -> None:
    assert run_key("acme/a.csv@0", 1) != run_key("acme/a.csv@0", 2)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 5)), max_size=40))
def test_whatever_is_queued_when_each_workspace_is_served_in_order_and_none_waits_for_a_whole_queue(
    rounds: list[tuple[str, int]],
) -> None:
    """A tick requests some runs of a workspace, the queue starts one; then it starts the rest."""
    queue: list[tuple[int, int, str]] = []
    started: list[tuple[int, str]] = []
    number = 0
    for workspace, count in rounds:
        by_workspace = {w: [-p for p, _, v in queue if v == w] for w in "abc"}
        others = {w for _, _, w in queue} - {workspace}
        alone = not by_workspace[workspace]
        for given_ in priorities([waiting(workspace, 0)] * count, by_workspace):
            number += 1
            queue.append((-given_, number, workspace))
        queue.sort()
        if alone:
            ahead = queue[: next(n for n, one in enumerate(queue) if one[2] == workspace)]
            assert len(ahead) <= len(others)
        started.append(queue.pop(0)[1:])
    started += [one[1:] for one in queue]
    for workspace in "abc":
        own = [n for n, w in started if w == workspace]
        assert own == sorted(own)
