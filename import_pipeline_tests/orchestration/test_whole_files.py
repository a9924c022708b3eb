"""Whole files through the whole pipeline: samples, any generated file, a dataset of one's own."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.flow.arrivals.options import Statement, statement_metadata
from import_pipeline.ledger.migrate import migrate
from import_pipeline.local_check import check_file
from import_pipeline.orchestration.build import build_defs
from import_pipeline.samples.all_samples import SAMPLES
from import_pipeline.samples.sample import Sample
from import_pipeline_tests.orchestration.conftest import World

ALONE = [sample for sample in SAMPLES if not sample.after and sample.counts.read < 10_000]

EMAILS = st.sampled_from(["a@exemplo.com", "B@exemplo.com", "b@exemplo.com", "joao@", "", " c@exemplo.com "])
NAMES = st.sampled_from(["Ana", "", "José, o outro", 'aspas "duplas"', "linha\nquebrada", "=1+1"])
VALUES = st.sampled_from(["1.234,56", "10,5", "", "abc", "12", "-3,00"])
ROWS = st.lists(st.tuples(EMAILS, NAMES, VALUES, st.sampled_from([0, 0, 0, 1, -1])), max_size=40)


def table_of(data: bytes, delimiter: str, *, without: str = "") -> list[list[str]]:
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig")), delimiter=delimiter))
    if without and rows:
        at = rows[0].index(without)
        rows = [row[:at] + row[at + 1 :] for row in rows]
    return rows


@pytest.mark.parametrize("sample", ALONE, ids=lambda sample: sample.file_name)
def test_check_and_run_give_the_same_rejects(world: World, sample: Sample, tmp_path: Path) -> None:
    path = sample.write(tmp_path)
    check_file(path, world.datasets[sample.dataset], sample.options, tmp_path / "out")
    key = f"uploads/{sample.workspace}/{sample.dataset}/{sample.file_name}"
    stated = statement_metadata(Statement(sample.options))
    upload = world.import_file(key, sample.content(), **stated)

    assert upload["state"] == sample.state
    for name, without in (("errors.csv", ""), ("rejected.csv", "_import_upload")):
        local = tmp_path / "out" / name
        remote = f"{upload['report_prefix']}{name}"
        assert local.exists() == (remote in world.keys(upload["report_prefix"]))
        if local.exists():
            delimiter = upload["delimiter"]
            assert table_of(world.get(remote), delimiter, without=without) == table_of(
                local.read_bytes(), delimiter, without=without
            )


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=ROWS, delimiter=st.sampled_from(";,\t|"), end=st.sampled_from(["\n", "\r\n"]))
def test_every_row_and_every_line_of_any_file_is_accounted_for(
    world: World, rows: list[tuple[str, str, str, int]], delimiter: str, end: str
) -> None:
    """Read = inserted + updated + unchanged + duplicate + rejected, and the lines add up too."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(["E-mail", "Nome", "Valor estimado"])
    sent = 0
    for email, name, value, more in rows:
        cells = [email, name, value][: 3 + min(more, 0)] + ["x"] * max(more, 0)
        sent += any(cell.strip() for cell in cells)
        writer.writerow(cells)
    workspace = f"w{len(world.requested)}"
    data = text.getvalue().encode()

    row = world.import_file(f"uploads/{workspace}/leads/any.csv", data, force="true", delimiter=delimiter)

    if row["state"] == "refused":
        assert row["error_code"] == "too_many_rejects"
        return
    counted = [row[name] for name in ("inserted", "updated", "unchanged", "duplicate", "rejected")]
    assert row["read"] == sent == sum(counted)
    (in_table,) = world.sql("SELECT count(*) AS n FROM leads WHERE _upload_id = %s", row["upload_id"])
    assert in_table["n"] == row["inserted"]
    lines = json.loads(world.get(f"{row['report_prefix']}summary.json"))["lines"]
    physical = lines.pop("physical")
    assert physical == sum(lines.values()) == data.count(b"\n")


CUSTOMERS = '''
"""Customers of a shop."""

import pandera.pandas as pandera

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Integer, Text


class Customers(pandera.DataFrameModel):
    """One row a customer."""

    code: Text = column("Código", required=True)
    age: Integer = column("Idade")

    @pandera.check("age", error="customers are at least 18")
    def of_age(cls, ages):
        """Only adults."""
        return ages >= 18


CUSTOMERS = Dataset(name="customers", model=Customers, key=("code",), existing="update")
'''


def test_a_dataset_of_ones_own_is_one_file_and_its_rule_is_seen_everywhere(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_owner: Callable[[str], str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "customers.py").write_text(CUSTOMERS, encoding="utf-8")
    monkeypatch.setenv("IMPORT_PIPELINE_DATASETS", str(folder))
    world.datasets = load_datasets(str(folder))
    world.defs = build_defs()
    migrate(as_owner(world.settings.require_database_url()), world.datasets)

    row = world.import_file("uploads/acme/customers/c.csv", "Código;Idade\n007;17\n008;18\n009;\n")

    assert (row["state"], row["inserted"], row["rejected"]) == ("completed_with_rejects", 2, 1)
    assert world.sql("SELECT code, age FROM customers ORDER BY code") == [
        {"code": "008", "age": 18},
        {"code": "009", "age": None},
    ]
    errors = table_of(world.get(f"{row['report_prefix']}errors.csv"), ";")
    assert [cells[:4] for cells in errors[1:]] == [["2", "Idade", "17", "check_failed"]]
    assert "customers are at least 18" in errors[1][5]
    ledger = world.sql("SELECT row_number, code, message FROM imports.row_errors")
    assert [(e["row_number"], e["code"]) for e in ledger] == [(2, "check_failed")]
    shown = "".join(str(event) for event in world.events(row["upload_id"]))
    assert "code check_failed" in shown
    assert "customers are at least 18" in shown


def test_options_of_the_sender_reach_the_values(world: World) -> None:
    text = "email;estimated_value;created_at\na@exemplo.com;1,234;01/02/2026\n"
    stated = {"decimal": ".", "date-order": "mdy"}

    world.import_file("uploads/acme/leads/us.csv", text, **stated)

    assert world.sql("SELECT estimated_value::text AS v, created_at::date::text AS d FROM leads") == [
        {"v": "1234.00", "d": "2026-01-02"}
    ]
