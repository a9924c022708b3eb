"""`template` writes a workbook, and never over one that is there."""

import openpyxl
import pytest


def test_a_workbook_with_the_datasets_header_is_written_where_it_is_wanted(typed, tmp_path):
    done = typed("template", "vehicles", "-o", tmp_path / "carros.xlsx", "--language", "pt")

    assert (done.exit_code, done.out.strip()) == (0, str(tmp_path / "carros.xlsx"))
    sheet = openpyxl.load_workbook(tmp_path / "carros.xlsx").active
    assert [cell.value for cell in sheet[1]] == ["Modelo", "Placa", "Ano", "Valor FIPE"]
    assert sheet["C1"].comment.text.startswith("Obrigatória.")


def test_without_a_name_it_is_called_like_its_dataset(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert typed("template", "leads").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["leads.xlsx"]


def test_the_language_is_that_of_the_settings_where_none_is_stated(typed, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_LANGUAGE", "pt")
    typed("template", "leads", "-o", tmp_path / "leads.xlsx")
    assert (
        openpyxl.load_workbook(tmp_path / "leads.xlsx").active["A1"].comment.text.startswith("Obrigatória.")
    )


def test_a_file_that_is_there_is_replaced_only_by_force(typed, tmp_path):
    path = tmp_path / "leads.xlsx"
    path.write_bytes(b"mine")

    refused = typed("template", "leads", "-o", path)

    assert refused.exit_code == 2
    assert "--force" in refused.words
    assert path.read_bytes() == b"mine"
    assert typed("template", "leads", "-o", path, "--force").exit_code == 0
    assert openpyxl.load_workbook(path).active.title == "leads"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("leeds",), "Did you mean 'leads'?"),
        (("leads", "-o", "leads.csv"), "does not end with .xlsx"),
        (("leads", "-o", "nowhere/leads.xlsx"), "There is no folder nowhere"),
        (("leads", "--language", "fr"), "'fr' is not one of: en, pt"),
    ],
)
def test_what_cannot_be_done_is_said(typed, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = typed("template", *arguments)
    assert done.exit_code == 2
    assert said in done.words
    assert list(tmp_path.iterdir()) == []
