"""`check` says without any service what an import would give."""

import bz2
import csv
import gzip
import json
import lzma
import zipfile

import pyarrow.parquet as pq
import pytest


def test_a_clean_file_exits_with_0_and_leaves_its_rows(typed, tmp_path):
    (tmp_path / "clean.csv").write_text("email;UF\na@b.example;sp\nc@d.example;rj\n", encoding="utf-8")

    checked = typed("check", "clean.csv", "--dataset", "leads", "--output", "out")

    assert checked.exit_code == 0
    rows = pq.read_table(tmp_path / "out" / "clean.parquet").to_pylist()
    assert [(r["_row_number"], r["email"], r["state"]) for r in rows] == [
        (2, "a@b.example", "SP"),
        (3, "c@d.example", "RJ"),
    ]
    assert not (tmp_path / "out" / "rejected.csv").exists()


def test_rejects_exit_with_3_and_come_back_with_their_errors(typed, leads_file, tmp_path):
    checked = typed("check", leads_file, "-d", "leads", "-o", "out", "--json")

    assert checked.exit_code == 3
    assert checked.json["counts"] == {
        "read": 3, "inserted": 1, "updated": 0, "unchanged": 0, "duplicate": 1, "rejected": 1,
    }  # fmt: skip
    assert checked.json["codes"] == {"not_an_email": 1, "repeated_in_file": 1}
    with (tmp_path / "out" / "errors.csv").open(encoding="utf-8-sig") as file:
        errors = [(row["row"], row["code"]) for row in csv.DictReader(file)]
    assert ("3", "not_an_email") in errors
    rejected = (tmp_path / "out" / "rejected.csv").read_text(encoding="utf-8-sig")
    assert rejected.startswith("E-mail,Nome,_import_row")
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["counts"]["rejected"] == 1


def test_a_file_that_would_be_refused_exits_with_4_and_says_what_to_do(typed, tmp_path):
    (tmp_path / "no-mail.csv").write_text("nome;fone\nAna;1\n", encoding="utf-8")

    checked = typed("check", "no-mail.csv", "-d", "leads")

    assert checked.exit_code == 4
    assert "email" in checked.err and "nome" in checked.err
    summary = json.loads((tmp_path / "check-no-mail" / "summary.json").read_text())
    assert summary["error"]["code"] == "missing_columns"
    assert not (tmp_path / "check-no-mail" / "clean.parquet").exists()


def test_a_file_with_too_many_rejects_keeps_the_list_of_its_errors(typed, tmp_path):
    rows = "".join(f"not-an-address-{n}\n" for n in range(30))
    (tmp_path / "wrong.csv").write_text("email\n" + rows, encoding="utf-8")

    checked = typed("check", "wrong.csv", "-d", "leads", "-o", "out", "--json")

    assert checked.exit_code == 4
    assert checked.json["error"]["code"] == "too_many_rejects"
    assert len((tmp_path / "out" / "errors.csv").read_text().splitlines()) == 31
    assert not (tmp_path / "out" / "clean.parquet").exists()


def test_a_second_check_leaves_nothing_of_the_first(typed, leads_file, tmp_path):
    typed("check", leads_file, "-d", "leads", "-o", "out")
    leads_file.write_text("email\nana@x.example\n", encoding="utf-8")
    (tmp_path / "out" / "errors.csv.mine").write_text("kept")

    typed("check", leads_file, "-d", "leads", "-o", "out")

    assert not (tmp_path / "out" / "rejected.csv").exists()
    assert (tmp_path / "out" / "errors.csv.mine").read_text() == "kept"


def test_a_header_without_rows_is_checked_with_a_warning(typed, tmp_path):
    (tmp_path / "empty.csv").write_text("email,name\n", encoding="utf-8")

    checked = typed("check", "empty.csv", "-d", "leads", "--json")

    assert checked.exit_code == 0
    assert [warning["code"] for warning in checked.json["warnings"]] == ["no_rows"]


def test_a_dataset_that_is_not_there_names_the_nearest(typed, leads_file):
    checked = typed("check", leads_file, "-d", "lead")

    assert checked.exit_code == 2
    assert "Did you mean 'leads'?" in checked.words


def test_a_stated_option_decides_how_a_column_is_read(typed, tmp_path):
    (tmp_path / "v.csv").write_text("email;valor\na@b.example;1.234\n", encoding="utf-8")

    comma = typed("check", "v.csv", "-d", "leads", "-o", "comma", "--decimal", ",")
    point = typed("check", "v.csv", "-d", "leads", "-o", "point", "--decimal", "point", "--json")

    assert comma.exit_code == 0
    value = pq.read_table(tmp_path / "comma" / "clean.parquet")["estimated_value"][0].as_py()
    assert value == 1234
    assert point.json["codes"] == {"too_many_decimals": 1}


def test_an_option_with_a_value_that_is_not_allowed_names_those_that_are(typed, leads_file):
    checked = typed("check", leads_file, "-d", "leads", "--date-order", "dym")

    assert checked.exit_code == 2
    assert "--date-order" in checked.words and "dmy, mdy, ymd" in checked.words


def test_of_a_zip_each_file_is_checked_in_a_folder_of_its_own(typed, tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("2026/jan.csv", "email\na@b.example\n")
        archive.writestr("/2026/feb.csv", "email\nnone\n")
        archive.writestr("__MACOSX/2026/._jan.csv", "x")

    checked = typed("check", "two.zip", "-d", "leads", "-o", "out", "--json")

    assert checked.exit_code == 3
    members = checked.json["members"]
    assert [(m["file"], m["state"], m["counts"]["inserted"]) for m in members] == [
        ("two.zip/2026/jan.csv", "checked", 1),
        ("two.zip/2026/feb.csv", "checked", 0),
    ]
    assert (tmp_path / "out" / "1-jan.csv" / "clean.parquet").exists()
    assert (tmp_path / "out" / "2-feb.csv" / "rejected.csv").exists()
    assert "2026/feb.csv" in typed("check", "two.zip", "-d", "leads").out


def test_a_zip_that_would_be_refused_says_why(typed, tmp_path):
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr(".DS_Store", "x")

    checked = typed("check", "none.zip", "-d", "leads", "--json")

    assert checked.exit_code == 4
    assert checked.json["error"]["code"] == "empty_file"
    assert (tmp_path / "check-none" / "summary.json").exists()


def test_a_corrected_file_is_checked_without_our_columns_and_says_that_nothing_was_matched(typed, tmp_path):
    """Its rejects go on naming the first upload: mended again, the file still corrects."""
    rows = "".join(f"bad-{n};{n};acme/leads.csv@0123456789ab;message\n" for n in range(2, 32))
    (tmp_path / "mended.csv").write_text(
        f"email;_import_row;_import_upload;_import_errors\na@b.example;99;acme/leads.csv@0123456789ab;x\n{rows}",
        encoding="utf-8",
    )

    checked = typed("check", "mended.csv", "-d", "leads", "-o", "out", "--json")

    assert checked.exit_code == 3, "no share of rejects is too large for a correction"
    assert [warning["code"] for warning in checked.json["warnings"]] == ["corrections_not_matched"]
    assert pq.read_table(tmp_path / "out" / "clean.parquet")["extra"].null_count == 1
    rejected = (tmp_path / "out" / "rejected.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rejected[1].startswith("bad-2;2;acme/leads.csv@0123456789ab;")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_is_checked_as_what_is_inside(typed, leads_file, compress):
    leads_file.write_bytes(compress(leads_file.read_bytes()))

    checked = typed("check", leads_file, "-d", "leads", "--json")

    assert checked.json["counts"]["read"] == 3


def test_a_name_too_long_for_a_folder_is_cut(typed, tmp_path):
    name = "é" * 300 + ".csv"
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as archive:
        archive.writestr(name, "E-mail\nana@x.example\n")

    checked = typed("check", "long.zip", "-d", "leads", "-o", "out", "--json")

    assert checked.json["exit_code"] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"1-{name[-60:]}"]


def test_batches_checked_before_the_last_row_is_read_follow_the_verdict_of_the_whole_file(typed, tmp_path):
    # Thirty batches of 1,000 rows; only the last row proves that the month stands first.
    rows = [f"a{n}@b.example;02/03/2026" for n in range(29_999)] + ["z@b.example;02/13/2026"]
    (tmp_path / "dates.csv").write_text("\n".join(["email;created_at", *rows]), encoding="utf-8")

    checked = typed("check", "dates.csv", "-d", "leads", "-o", "out", "--json")

    assert checked.json["counts"]["inserted"] == 30_000
    created = pq.read_table(tmp_path / "out" / "clean.parquet")["created_at"]
    assert {moment.strftime("%d.%m.%Y") for moment in created.unique().to_pylist()} == {
        "03.02.2026",
        "13.02.2026",
    }
