"""The samples must give exactly the counts they declare: `demo` fails if one of them drifts."""

from dataclasses import asdict

import pytest

from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.local_check import check_file
from import_pipeline.samples.all_samples import SAMPLES
from import_pipeline.samples.leads import BAD_ROWS, EVERY_FAULT
from import_pipeline.samples.people import people
from import_pipeline.samples.sample import Sample

EACH = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.file_name)


@EACH
def test_a_check_gives_the_counts_that_the_sample_declares(sample: Sample, tmp_path):
    checked = check_file(
        sample.write(tmp_path), load_datasets()[sample.dataset], sample.options, tmp_path / "out"
    )

    wanted, codes = asdict(sample.counts), dict(sample.codes)
    # What the table holds is not known without one: those rows would be inserted.
    known = codes.pop("already_in_table", 0)
    wanted["inserted"] += known
    wanted["rejected"] -= known
    assert checked.counts is not None
    assert asdict(checked.counts) == wanted
    assert checked.codes == codes


@EACH
def test_a_sample_is_the_same_file_every_time(sample: Sample):
    assert sample.content() == sample.content()


@EACH
def test_no_row_of_a_sample_is_unaccounted_for(sample: Sample):
    assert sample.counts.balanced
    assert (sample.state == "completed_with_rejects") == (sample.counts.rejected > 0)


def test_every_bad_row_is_declared_with_its_codes():
    declared = sorted(code for _, codes in BAD_ROWS for code in codes)
    stated = sorted(
        code for code, count in EVERY_FAULT.codes.items() for _ in range(count) if code != "repeated_in_file"
    )

    assert declared == stated
    assert len(BAD_ROWS) == EVERY_FAULT.counts.rejected


def test_people_of_two_files_share_no_address():
    """Otherwise a sample's count would depend on which file is imported first."""
    first = {person.email for person in people(500, seed=1, tag="a")}
    second = {person.email for person in people(500, seed=1, tag="b")}

    assert len(first) == 500
    assert not first & second


def test_a_sample_that_needs_another_ones_rows_comes_after_it():
    names = [sample.file_name for sample in SAMPLES]

    assert all(names.index(s.after) < names.index(s.file_name) for s in SAMPLES if s.after)
