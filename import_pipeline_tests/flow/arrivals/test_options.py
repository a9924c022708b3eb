"""What senders state: read exactly, or refused naming what is allowed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.datasets.leads import DATASET as LEADS
from import_pipeline.errors import BadOption
from import_pipeline.flow.arrivals.options import (
    StatedFacts,
    Statement,
    merged_options,
    parse_statement,
    read_statement,
    require_applicable,
    statement_metadata,
)
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket

SHA = "ab" * 32


def test_every_option_is_read_in_the_words_people_use() -> None:
    stated = {
        "Encoding": "Windows-1252", "delimiter": "semicolon", "decimal": "comma", "date_order": "DMY",
        "Header-Row": "0", "sheet": "Março 2026", "on_existing": "Update",
        "dry-run": "yes", "force": "0", "name": " March\nleads ", "SHA256": SHA.upper(),
        "uploaded-by": "ana@x.com", "mtime": "1700000000", "s3cmd-attrs": "x",
    }  # fmt: skip
    options = SenderOptions(
        "windows-1252", ";", ",", "dmy", header_row=0, sheet="Março 2026", on_existing="update", dry_run=True
    )
    assert parse_statement(stated) == Statement(options, StatedFacts("March leads", SHA, "ana@x.com"))


def test_nothing_stated_is_nothing_assumed() -> None:
    assert parse_statement({"encoding": "", "name": " "}) == Statement()


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("encoding", "klingon", "utf-8, cp1252"),
        ("delimiter", "#", "comma"),
        ("decimal", "'", "Use one of: ,, comma, ., point."),
        ("date-order", "ddmmyy", "dmy, mdy, ymd"),
        ("header-row", "-1", "counted from 1"),
        ("header-row", "2.0", "counted from 1"),
        ("header-row", "1048577", "counted from 1"),
        ("sheet", "Plan1\0", "as the workbook shows it"),
        ("sheet", "\ud800", "as the workbook shows it"),
        ("on-existing", "replace", "skip, update, reject"),
        ("dry-run", "maybe", "true"),
        ("force", "x\x1b[31m" + "y" * 500, "true"),
        ("sha256", "abc", "64 hexadecimal"),
    ],
)
def test_a_wrong_value_is_refused_naming_those_allowed(option: str, value: str, allowed: str) -> None:
    with pytest.raises(BadOption) as caught:
        parse_statement({option: value})
    assert f"`{option}`" in caught.value.message
    assert allowed in caught.value.remedy
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


options = st.builds(
    SenderOptions,
    encoding=st.sampled_from([None, "utf-8", "cp1252", "utf-16"]),
    delimiter=st.sampled_from([None, ",", ";", "\t", "|", ":", "^", "~", " "]),
    decimal=st.sampled_from([None, ",", "."]),
    date_order=st.sampled_from([None, "dmy", "mdy", "ymd"]),
    header_row=st.none() | st.integers(0, 1_048_576),
    sheet=st.sampled_from([None, "Plan1", "1º trimestre; 2026", "0"]),
    on_existing=st.sampled_from([None, "skip", "update", "reject"]),
    dry_run=st.booleans(),
    force=st.booleans(),
)


@given(options, st.sampled_from([None, "João, março"]), st.sampled_from([None, SHA]))
def test_what_an_upload_states_is_what_the_import_reads(
    options: SenderOptions, name: str | None, sha256: str | None
) -> None:
    statement = Statement(options, StatedFacts(name, sha256))
    assert parse_statement(statement_metadata(statement)) == statement


def test_a_switch_is_on_if_anyone_turns_it_on() -> None:
    stated = Statement(SenderOptions(decimal=","))
    assert merged_options(stated) == SenderOptions(decimal=",")
    assert merged_options(stated, dry_run=True).dry_run
    assert merged_options(SenderOptions(force=True)).force
    defaults = SenderOptions(decimal=".", encoding="cp1252", force=True)
    assert merged_options(stated, defaults=defaults) == SenderOptions(decimal=",", force=True)


def test_what_to_do_with_known_keys_cannot_be_stated_where_rows_have_none() -> None:
    stated = SenderOptions(on_existing="update")
    require_applicable(stated, LEADS)
    require_applicable(SenderOptions(), replace(LEADS, key=()))
    with pytest.raises(BadOption, match="rows of leads have no key") as caught:
        require_applicable(stated, replace(LEADS, key=()))
    assert caught.value.fields["option"] == "on-existing"


def test_metadata_of_an_object_are_read_from_the_bucket(s3, bucket_name: str) -> None:
    key = "uploads/acme/leads/a.csv"
    s3.put_object(Bucket=bucket_name, Key=key, Body=b"x", Metadata={"Date-Order": "mdy"})
    bucket = Bucket(s3, bucket_name)
    found = bucket.head(key)
    assert found is not None
    assert read_statement(bucket, found[0]).options == SenderOptions(date_order="mdy")
    gone = ListedObject(bucket_name, "uploads/acme/leads/b.csv", "e", 1, found[0].last_modified)
    assert read_statement(bucket, gone) == Statement()
