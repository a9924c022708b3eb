"""The kill matrix itself: that it covers what it says, and a short one with real kills.

The whole of it is `make torture`.
"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import import_pipeline_tests
from import_pipeline_tests.torture.cases import STAGES, WHATS, draw_cases, draw_short
from import_pipeline_tests.torture.figures import table
from import_pipeline_tests.torture.outcomes import from_line, outcome_of, to_line
from import_pipeline_tests.torture.snapshot import Snapshot, differences, lost_and_twice


@pytest.mark.timeout(600)
def test_a_kill_in_each_stage_leaves_what_an_undisturbed_import_leaves(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "import_pipeline_tests.torture", "--short", "--lanes", "1"],
        cwd=Path(import_pipeline_tests.__file__).parent.parent,
        env={**os.environ, "TMPDIR": str(_open_to_all(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )

    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert said.count("  ok  ") == len(STAGES), said


def test_five_hundred_kills_reach_every_cell_five_times_and_150_of_them_the_daemons_runs() -> None:
    daemon, processes = draw_cases(1, 150, daemon=True), draw_cases(1, 350, daemon=False)

    cells = Counter((case.stage, case.what) for case in (*daemon, *processes))

    assert (len(daemon), len(processes)) == (150, 350)
    assert set(cells) == {(stage, what) for stage in STAGES for what in WHATS}
    assert min(cells.values()) >= 5
    assert {case.by for case in processes} == {"moment", "time"}


def test_a_seed_draws_the_same_cases_again_and_another_seed_others() -> None:
    assert draw_cases(7, 40, daemon=False) == draw_cases(7, 40, daemon=False)
    assert draw_cases(7, 40, daemon=False) != draw_cases(8, 40, daemon=False)
    assert [case.stage for case in draw_short(7)] == list(STAGES)


UNDISTURBED = Snapshot(
    rows=Counter({"a": 1, "b": 1}),
    ledger={"uploads": ("completed",), "row_errors": ("row 3",)},
    objects={"reports/errors.csv": "row 3", "archive/file.csv": "bytes"},
    staging=(),
    counts={
        "read": 3, "inserted": 2, "updated": 0, "unchanged": 0, "duplicate": 0, "rejected": 1, "in table": 2,
    },
)  # fmt: skip


@pytest.mark.parametrize(
    ("disturbed", "said"),
    [
        (replace(UNDISTURBED, rows=Counter({"a": 1})), "row lost: b"),
        (replace(UNDISTURBED, rows=Counter({"a": 2, "b": 1})), "row too many: a"),
        (replace(UNDISTURBED, ledger={"uploads": ("completed",)}), "row_errors lacks: row 3"),
        (replace(UNDISTURBED, ledger={**UNDISTURBED.ledger, "rejects": ("x",)}), "rejects has: x"),
        (replace(UNDISTURBED, objects={"archive/file.csv": "bytes"}), "reports/errors.csv: is not there"),
        (replace(UNDISTURBED, counts={**UNDISTURBED.counts, "read": 4}), "counts do not balance"),
        (replace(UNDISTURBED, counts={**UNDISTURBED.counts, "in table": 3}), "the table has 3 rows"),
    ],
)
def test_whatever_is_not_as_in_an_undisturbed_import_is_named(disturbed: Snapshot, said: str) -> None:
    assert differences(UNDISTURBED, UNDISTURBED) == []

    found = differences(UNDISTURBED, disturbed)

    assert len(found) == 1
    assert found[0].startswith(said)
    lost, twice = lost_and_twice(UNDISTURBED, disturbed)
    assert (lost, twice) == (int("lost" in said), int("too many" in said))


def test_the_table_counts_what_was_lost_and_what_was_left() -> None:
    good, bad = (outcome_of(case) for case in draw_cases(1, 2, daemon=False))
    good.killed = bad.killed = True
    bad.rows_lost, bad.differences, bad.left_after_sweep = 2, ["row lost: x", "row lost: y"], ["table u"]
    again = [from_line(to_line(outcome)) for outcome in (good, bad)]

    said = {
        line.rsplit(None, 1)[0].strip(): line.split()[-1] for line in table(again, 1, 60).splitlines() if line
    }

    assert [outcome.is_bad for outcome in again] == [False, True]
    assert (said["kills"], said["rows lost"], said["rows twice"]) == ("2", "2", "0")
    assert (said["left in staging after it"], said["not as an undisturbed import"]) == ("1", "1")


def _open_to_all(folder: Path) -> Path:
    """Let PostgreSQL's user enter."""
    for one in [folder, *folder.parents]:
        if one.stat().st_uid == os.getuid() and one != Path("/tmp"):
            one.chmod(0o755)
    return folder
