"""A rejected file, mended and dropped in again: exactly its rows are repaired, wherever it comes from."""

import io
import json
from typing import Any

import openpyxl
import psycopg

from import_pipeline.ledger.outcomes import ask_for_reports
from import_pipeline.orchestration import ending
from import_pipeline.row_numbers import row_number
from import_pipeline_tests.orchestration.conftest import World

BAD = "E-mail;Nome;UF\nana@exemplo.com;Ana;SP\njoao@;João;SP\n;Sem e-mail;RJ\nbia@exemplo.com;Bia;ZZ\n"
KEY = "uploads/acme/leads/leads.csv"
MENDED = "uploads/acme/leads/mended.csv"
ROWS = "SELECT email, _row_number, _upload_id FROM leads ORDER BY email"


def rejected_file(world: World, upload: dict[str, Any]) -> str:
    return world.get(f"{upload['report_prefix']}rejected.csv").decode("utf-8-sig")


def all_but_messages(text: str, first: dict[str, Any]) -> list[str]:
    """The lines of a rejected.csv up to `_import_errors`, which tells the rows of the file at hand."""
    assert text.count(first["upload_id"]) == 3
    return [line.rsplit(f"{first['upload_id']};", 1)[0] for line in text.splitlines()]


def summary(world: World, upload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.get(f"{upload['report_prefix']}summary.json"))
    return found


def codes(world: World, upload: dict[str, Any]) -> dict[str, int]:
    return dict(summary(world, upload)["codes"])


def test_a_mended_file_repairs_exactly_its_rows_and_leaves_the_first_upload_as_it_was(world: World) -> None:
    first = world.import_file(KEY, BAD)
    text = rejected_file(world, first).replace("joao@", "joao@exemplo.com").replace(";ZZ;", ";RJ;")
    mended = world.import_file(MENDED, text)

    assert (mended["state"], mended["read"], mended["inserted"], mended["rejected"]) == (
        "completed_with_rejects", 3, 2, 1,
    )  # fmt: skip
    assert world.sql(ROWS) == [
        {"email": "ana@exemplo.com", "_row_number": 2, "_upload_id": first["upload_id"]},
        {"email": "bia@exemplo.com", "_row_number": 5, "_upload_id": mended["upload_id"]},
        {"email": "joao@exemplo.com", "_row_number": 3, "_upload_id": mended["upload_id"]},
    ]
    assert world.sql("SELECT DISTINCT extra FROM leads") == [{"extra": None}]
    after = world.upload(KEY)
    assert after["corrected_rows"] == 2
    names = ("read", "inserted", "updated", "unchanged", "duplicate", "rejected", "state")
    assert [after[name] for name in names] == [first[name] for name in names]
    assert summary(world, mended)["corrects"] == [first["upload_id"]]

    text = rejected_file(world, mended)
    assert f";4;{first['upload_id']};" in text, "what is left still names the first upload and its row there"
    last = world.import_file(MENDED, text.replace(";Sem e-mail;", "sem@exemplo.com;Sem e-mail;"))
    assert (last["state"], last["inserted"]) == ("completed", 1)
    assert world.upload(KEY)["corrected_rows"] == 3


def test_an_unedited_rejected_file_comes_back_as_it_was_and_again_as_a_duplicate(world: World) -> None:
    first = world.import_file(KEY, BAD)
    text = rejected_file(world, first)
    again = world.import_file(MENDED, text)

    assert (again["read"], again["rejected"]) == (3, 3)
    assert all_but_messages(rejected_file(world, again), first) == all_but_messages(text, first)
    assert codes(world, again) == codes(world, first)
    assert world.import_file(MENDED, text)["duplicate_of"] == again["upload_id"]


def test_rows_that_were_corrected_before_come_back_as_no_reject(world: World) -> None:
    first = world.import_file(KEY, BAD)
    text = rejected_file(world, first).replace("joao@", "joao@exemplo.com")
    world.import_file(MENDED, text)
    late = world.import_file("uploads/acme/leads/late.csv", text.replace("João", "João Silva"))

    assert (late["inserted"], late["duplicate"], late["rejected"]) == (0, 0, 3)
    assert codes(world, late) == {"missing_value": 1, "not_a_reject": 1, "not_a_uf": 1}
    assert world.sql("SELECT name FROM leads WHERE email = 'joao@exemplo.com'") == [{"name": "João"}]


def test_a_rejected_file_of_another_workspace_is_a_plain_file_with_a_warning(world: World) -> None:
    first = world.import_file(KEY, BAD)
    text = rejected_file(world, first).replace("joao@", "joao@exemplo.com")
    other = world.import_file("uploads/beta/leads/mended.csv", text)

    assert (other["inserted"], other["rejected"]) == (1, 2)
    assert world.sql("SELECT _row_number FROM leads WHERE _workspace = 'beta'") == [{"_row_number": 2}]
    assert world.upload(KEY)["corrected_rows"] == 0
    warnings = summary(world, other)["warnings"]
    assert [w["code"] for w in warnings] == ["not_a_correction"]
    assert "mended.csv" in warnings[0]["message"]
    assert f";3;{other['upload_id']};" in rejected_file(world, other), "its rejects are its own"


def test_a_workbook_of_two_sheets_is_mended_sheet_by_sheet(world: World) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for month in ("Jan", "Fev!"):
        sheet = book.create_sheet(month)
        for row in (("E-mail", "Nome"), (f"{month[0]}1@exemplo.com", "Ana"), ("none", month)):
            sheet.append(row)
    first = world.import_file("uploads/acme/leads/leads.xlsx", saved(book))
    assert (first["inserted"], first["rejected"]) == (2, 2)

    returned = openpyxl.load_workbook(io.BytesIO(world.get(f"{first['report_prefix']}rejected.xlsx")))
    assert [str(sheet["C2"].value) for sheet in returned] == ["3", "Fev!!3"]
    for sheet in returned:
        sheet["A2"] = f"{sheet['B2'].value.strip('!')}2@exemplo.com"
    mended = world.import_file("uploads/acme/leads/mended.xlsx", saved(returned))

    assert (mended["state"], mended["inserted"]) == ("completed", 2)
    rows = world.sql("SELECT email, _row_number FROM leads WHERE _upload_id = %s", mended["upload_id"])
    assert {row["email"]: row["_row_number"] for row in rows} == {
        "jan2@exemplo.com": 3,
        "fev2@exemplo.com": row_number(1, 3),
    }


def saved(book: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_a_plain_file_stays_one_when_its_report_is_written_later(world: World, monkeypatch: Any) -> None:
    """The upload that its rows name may be published before the missing report is written."""
    first = world.import_file(KEY, BAD)
    text = rejected_file(world, first).replace("joao@", "joao@exemplo.com")
    world.sql("UPDATE imports.uploads SET state = 'undone' WHERE upload_id = %s", first["upload_id"])
    world.sql("DELETE FROM leads")
    write = ending.write_reports
    monkeypatch.setattr(ending, "write_reports", lambda *_, **__: 1 / 0)
    world.put(MENDED, text)
    world.tick()
    monkeypatch.setattr(ending, "write_reports", write)
    assert world.launch(first["upload_id"]), "published again"
    mended = world.upload(MENDED)
    assert (mended["inserted"], mended["reported_at"]) == (1, None)

    assert world.launch(mended["upload_id"])
    assert [w["code"] for w in summary(world, world.upload(MENDED))["warnings"]] == ["not_a_correction"]


def test_a_report_written_later_repeats_what_was_matched_when_the_correction_was_published(
    world: World, monkeypatch: Any
) -> None:
    """Another correction may have put the same rejects right before the missing report is written."""
    first = world.import_file(KEY, BAD)
    text = rejected_file(world, first).replace("joao@", "joao@exemplo.com")
    write = ending.write_reports

    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed between publish and report")

    monkeypatch.setattr(ending, "write_reports", crash)
    world.put(MENDED, text)
    world.tick()
    monkeypatch.setattr(ending, "write_reports", write)
    mended = world.upload(MENDED)
    assert (mended["published_at"] is None, mended["reported_at"]) == (False, None)
    other = rejected_file(world, first).replace(";ZZ;", ";RJ;")
    world.import_file("uploads/acme/leads/other.csv", other)

    assert world.tick() == [], "nobody asked for it"
    with psycopg.connect(world.settings.require_database_url()) as conn:
        assert ask_for_reports(conn, [mended["upload_id"], first["upload_id"]]) == [mended["upload_id"]]
    assert len(world.tick()) == 1
    after = world.upload(MENDED)
    assert after["reported_at"] is not None
    assert codes(world, after) == {"missing_value": 1, "not_a_uf": 1}
