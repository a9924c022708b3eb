"""What the sample files cover, all together."""

import hashlib

from import_pipeline.codes import CODES
from import_pipeline_tests.sample_files.faults import FAULTS
from import_pipeline_tests.sample_files.oddities import ODDITIES
from import_pipeline_tests.sample_files.writers import WRITERS

# Codes that no file alone can have: a bucket, a table or an earlier import is needed. Tests of
# orchestration, loading and arrivals have them.
NEEDS_MORE_THAN_A_FILE = {
    "refused", "checksum_mismatch", "object_vanished", "overwritten_before_read", "already_in_table",
    "newer_in_table", "not_a_reject", "not_a_correction",
}  # fmt: skip


def _pairs() -> set[tuple[str, str]]:
    """Each format with each code that a sample file of it has."""
    pairs = {
        (form, code)
        for fault in FAULTS
        for form in WRITERS
        if form not in fault.not_in
        for code in (fault.refused, *fault.warnings, *(code for _, _, code in fault.expected))
    }
    pairs |= {
        (oddity.extension, code)
        for oddity in ODDITIES
        for code in (oddity.refused, *oddity.warnings, *(code for *_, code in oddity.expected))
    }
    return {(form, code) for form, code in pairs if code}


def test_every_code_that_a_file_can_have_has_a_sample_file():
    wanted = {code.code for code in CODES.values() if code.level != "system"} - NEEDS_MORE_THAN_A_FILE
    assert wanted - {code for _, code in _pairs()} == set()


def test_there_are_at_least_300_pairs_of_format_and_code():
    assert len(_pairs()) >= 300


def test_no_two_sample_files_differ_in_their_name_only():
    contents = [
        WRITERS[form][0](fault.header, fault.rows)
        for fault in FAULTS
        for form in ("csv", "tsv", "json", "jsonl", "parquet")
        if form not in fault.not_in
    ]
    contents += [_with_dataset(oddity) for oddity in ODDITIES]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    assert len(set(digests)) == len(digests)


def _with_dataset(oddity) -> bytes:
    """The same bytes may be sent to another dataset, or with other options."""
    told = repr((oddity.dataset.fingerprint, oddity.options, oddity.extension in ("xls", "csv")))
    return oddity.data() + told.encode()
