"""The command as a whole: help, errors that people can mend, Ctrl-C."""

import pytest

from import_pipeline.cli import catalog

COMMANDS = (
    "demo", "dev", "check", "upload", "import", "status", "history", "report", "datasets", "cancel",
    "retry", "doctor", "migrate",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(typed, command):
    shown = typed(command, "--help")

    assert shown.exit_code == 0
    assert f"import-pipeline {command}" in shown.out or command in shown.out


def test_the_help_lists_every_command(typed):
    listed = typed("--help").out

    assert [command for command in COMMANDS if command not in listed] == []


@pytest.mark.parametrize(
    "line",
    [("status",), ("history",), ("migrate",), ("retry", "--failed"), ("cancel", "x"), ("report", "x")],
    ids=" ".join,
)
def test_without_services_a_command_says_what_to_start(typed, line):
    answered = typed(*line)

    assert answered.exit_code == 1
    assert "import-pipeline dev" in answered.err
    assert "Traceback" not in answered.err


def test_a_wrong_setting_is_named(typed, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_SENSOR_INTERVAL_SECONDS", "often")

    answered = typed("datasets")

    assert answered.exit_code == 1
    assert "IMPORT_PIPELINE_SENSOR_INTERVAL_SECONDS" in answered.err


def test_ctrl_c_ends_a_command_without_traceback(typed, monkeypatch):
    def pressed(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalog, "print_json", pressed)

    answered = typed("datasets", "--json")

    assert answered.exit_code == 130
    assert answered.err.strip() == "Stopped."


def test_the_datasets_are_listed_with_their_policies(typed):
    listed = typed("datasets", "--json").json

    by_name = {dataset["name"]: dataset for dataset in listed}
    assert by_name["leads"]["key"] == ["email"]
    assert by_name["vehicles"]["existing"] == "reject"


def test_one_dataset_shows_columns_types_headers_and_checks(typed):
    columns = {column["name"]: column for column in typed("datasets", "vehicles", "--json").json["columns"]}

    assert columns["fipe_value"]["type"] == "numeric(14,2)"
    assert "Placa" in columns["plate"]["headers"]
    assert columns["plate"]["personal"] is True
    assert columns["year"]["checks"][0] == "out_of_range at least 1900"


def test_a_dataset_of_ones_own_is_known_to_the_commands(typed, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "suppliers.py").write_text(
        "import pandera.pandas as pandera\n"
        "from import_pipeline.catalog.dataset import Dataset, column\n"
        "from import_pipeline.catalog.types import Text\n"
        "class Supplier(pandera.DataFrameModel):\n"
        "    code: Text = column('Código', required=True)\n"
        "DATASET = Dataset(name='suppliers', model=Supplier, key=('code',))\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("IMPORT_PIPELINE_DATASETS", str(tmp_path / "own"))
    (tmp_path / "s.csv").write_text("codigo\nA1\nA1\nB2\n", encoding="utf-8")

    checked = typed("check", "s.csv", "-d", "suppliers", "--json")

    assert checked.exit_code == 0
    assert checked.json["counts"]["inserted"] == 2
