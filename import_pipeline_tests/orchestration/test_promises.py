"""Promises that hold over a whole import, each by its name; docs/guarantees.md lists all and their tests."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from import_pipeline_tests.orchestration.conftest import World

FIRST = "uploads/acme/vehicles/first.csv"
SECOND = "uploads/acme/vehicles/second.csv"
HEADER = "Modelo;Placa;Ano;Valor FIPE"
OUTCOMES = ("inserted", "updated", "unchanged", "duplicate", "rejected")
MEGABYTES = """
import sys
from pathlib import Path
from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sources.source import FileSource
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.storage.store import LocalStore
import pyarrow as pa

pa.set_memory_pool(pa.system_memory_pool())
path, rows = Path(sys.argv[1]), int(sys.argv[2])
with path.open("w") as file:
    file.write("E-mail;Nome;Valor estimado;Observações\\n")
    for n in range(rows):
        file.write(f"a{n}@exemplo.com;Nome {n};{n},50;{'sem importância ' * 6}\\n")
dataset, options, store = load_datasets("")["leads"], SenderOptions(), LocalStore(path.parent / "store")
source = FileSource(path)
found = inspect_file(source, dataset, options, rows_per_batch=10_000)
split = split_file(source, found, dataset, options=options, store=store, staging="s/")
for batch in split.batches:
    check_batch(
        batch, found, split.verdicts, dataset, options=options, language="en", store=store, staging="s/"
    )
assert split.read == rows
line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM:"))
print(int(line.split()[1]) // 1024)
"""


def cars(*rows: str) -> str:
    return "\n".join((HEADER, *rows)) + "\n"


def test_nothing_is_lost_every_row_read_is_counted_under_one_outcome_and_found_there(world: World) -> None:
    plates = [f"ABC1D{n:02d}" for n in range(10, 16)]
    world.import_file(FIRST, cars(*(f"Gol;{plate};2020;50.000,00" for plate in plates[:3])))
    row = world.import_file(
        SECOND,
        cars(
            f"Gol;{plates[0]};2020;50.000,00",
            f"Gol;{plates[1]};2020;60.000,00",
            f"Gol;{plates[3]};2020;50.000,00",
            f"Gol;{plates[3]};2020;50.000,00",
            f"Gol;{plates[4]};vinte;50.000,00",
        ),
        **{"on-existing": "update"},
    )
    counts = {name: row[name] for name in OUTCOMES}
    assert row["read"] == sum(counts.values()) == 5
    assert counts == dict.fromkeys(OUTCOMES, 1), "one row of each outcome"
    written = world.sql("SELECT count(*) AS n FROM vehicles WHERE _upload_id = %s", row["upload_id"])
    assert written == [{"n": counts["inserted"] + counts["updated"]}]
    rejected = world.get(f"{row['report_prefix']}rejected.csv").decode("utf-8-sig")
    assert len(list(csv.reader(io.StringIO(rejected), delimiter=";"))) == 1 + counts["rejected"]


def test_everything_can_be_traced_from_a_row_to_its_file_and_run_and_from_a_file_to_each_row(
    world: World,
) -> None:
    row = world.import_file(FIRST, cars("Gol;ABC1D23;2020;50.000,00", "Gol;sem placa;2020;1,00"))

    (traced,) = world.sql(
        "SELECT u.key, v._row_number, u.run_id, u.sha256, v._source_time = u.last_modified AS same_time"
        " FROM vehicles v JOIN imports.uploads u ON u.upload_id = v._upload_id WHERE v.plate = 'ABC1D23'"
    )
    assert (traced["key"], traced["_row_number"], traced["same_time"]) == (FIRST, 2, True)
    run = world.instance.get_run_by_id(traced["run_id"])
    assert run is not None
    assert run.tags["dagster/partition"] == row["upload_id"]

    loaded = world.sql("SELECT _row_number AS n FROM vehicles WHERE _upload_id = %s", row["upload_id"])
    rejects = world.sql("SELECT row_number AS n FROM imports.rejects WHERE upload_id = %s", row["upload_id"])
    assert {one["n"] for one in (*loaded, *rejects)} == {2, 3}
    assert len(loaded) + len(rejects) == row["read"] == 2
    summary = json.loads(world.get(f"{row['report_prefix']}summary.json"))
    assert summary["run"] == row["run_id"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_memory_is_bounded_a_file_six_times_as_large_needs_hardly_more(tmp_path: Path) -> None:
    """From about 13 to about 80 MB of CSV."""
    peaks = []
    for rows in (100_000, 600_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", MEGABYTES, str(folder / "leads.csv"), str(rows)],
            capture_output=True, text=True, check=True, timeout=300,
        )  # fmt: skip
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 30, peaks
