import re
import sys
from pathlib import Path

import pytest

import import_pipeline
from import_pipeline.catalog.discovery import dagster_names, get_dataset, load_datasets
from import_pipeline.errors import ConfigurationError
from import_pipeline_tests.flow.checks.tables import check, told

DATASET = """
import pandera.pandas as pandera
from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Text

class Model(pandera.DataFrameModel):
    code: Text = column(required=True)

DATASET = Dataset(name="{name}", model=Model, key=("{key}",), table="{table}")
"""


@pytest.fixture
def write(tmp_path):
    def write_file(file_name, *, name, table=None, key="code", folder="own"):
        path = tmp_path / folder / file_name
        path.parent.mkdir(exist_ok=True)
        path.write_text(DATASET.format(name=name, table=table or name, key=key))
        return path

    return write_file


def test_the_built_in_datasets_are_found_by_their_files():
    assert list(load_datasets()) == ["leads", "vehicles"]


def test_every_file_of_a_folder_of_ones_own_is_found(write):
    folder = write("customers.py", name="customers").parent
    write("orders.py", name="orders")
    write("_helper.py", name="helper")
    assert list(load_datasets(str(folder))) == ["customers", "leads", "orders", "vehicles"]


def test_one_file_and_a_module_can_be_named_and_naming_a_file_twice_is_once(write, monkeypatch):
    path = write("stock.py", name="stock")
    write("shops.py", name="shops", folder="modules")
    monkeypatch.syspath_prepend(path.parents[1] / "modules")
    found = load_datasets(f"{path}, shops , {path.parent}")
    assert list(found) == ["leads", "shops", "stock", "vehicles"]
    del sys.modules["shops"]


def test_a_package_gives_the_datasets_of_its_modules(write, monkeypatch):
    path = write("trucks.py", name="trucks", folder="fleet_of_tests")
    (path.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(path.parents[1])
    assert "trucks" in load_datasets("fleet_of_tests")


def test_a_dataset_that_another_file_imports_is_one_dataset(write):
    path = write("again.py", name="again")
    path.write_text("from import_pipeline.datasets.leads import DATASET\n")
    assert list(load_datasets(str(path))) == ["leads", "vehicles"]


def test_a_changed_file_is_read_again(write):
    path = write("changing.py", name="before")
    load_datasets(str(path))
    write("changing.py", name="afterwards")
    assert "afterwards" in load_datasets(str(path))


@pytest.mark.parametrize(
    ("name", "table", "told"),
    [
        ("leads", "other", "both take the name 'leads'"),
        ("people", "leads", "both take the table 'leads'"),
        ("import_leads", "people", "both take the Dagster name 'import_leads'"),
        ("vehicles__split_upload", "people", "both take the Dagster name 'vehicles__split_upload'"),
    ],
)
def test_a_clash_names_file_and_line_of_both(write, name, table, told):
    path = write("clash.py", name=name, table=table)
    with pytest.raises(ConfigurationError, match=re.escape(told)) as error:
        load_datasets(str(path))
    assert re.search(r"datasets/(leads|vehicles)\.py:\d+\)", error.value.message)
    assert f"{path}:9)" in error.value.message


def test_a_key_that_is_no_column_names_file_and_line(write):
    path = write("bad_key.py", name="bad_key", key="number")
    with pytest.raises(ConfigurationError, match="'number', which is no column") as error:
        load_datasets(str(path))
    assert f"{path}:9" in error.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("DATASET = ", "SyntaxError"),
        ("x = 1", "has no dataset"),
        ("from import_pipeline.catalog.dataset import column\ncolumn(is_emial=True)\n1/0", "fails to import"),
    ],
)
def test_a_file_that_is_no_dataset_is_named(tmp_path, text, told):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=re.escape(told)) as error:
        load_datasets(str(path))
    assert str(path) in error.value.message


@pytest.mark.parametrize("entry", ["no_such_module_here", "./no/such/folder", "missing.py"])
def test_an_entry_that_leads_nowhere_is_named(entry):
    with pytest.raises(ConfigurationError, match=re.escape(entry)):
        load_datasets(entry)


def test_the_example_of_the_page_on_datasets_is_a_dataset(tmp_path):
    page = Path(import_pipeline.__file__).parents[1] / "docs" / "add-a-dataset.md"
    path = tmp_path / "customers.py"
    path.write_text(
        page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], encoding="utf-8"
    )
    customers = load_datasets(str(path))["customers"]
    assert customers.key == ("number",)
    rows = [("1", "2026-01-01", "2025-01-01"), ("2", "2026-01-01", ""), ("3", "2025-01-01", "2026-01-01")]
    checked = check(customers, [(n, "Ana", *days) for n, *days in rows],
                    header=("number", "name", "since", "until"))  # fmt: skip
    assert told(checked) == [[2, "", "check_failed"]]


def test_an_unknown_dataset_is_refused_with_those_there_are():
    with pytest.raises(ConfigurationError, match="no dataset 'lead'") as error:
        get_dataset(load_datasets(), "lead")
    assert error.value.remedy == "Datasets: leads, vehicles."


def test_the_names_taken_in_dagster_are_those_of_ops_graph_and_jobs():
    names = dagster_names("leads")
    assert {"leads", "leads__open_upload", "leads__report_upload", "import_leads", "undo_leads"} <= set(names)
    assert len(names) == len(set(names))
