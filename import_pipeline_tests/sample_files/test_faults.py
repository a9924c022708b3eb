"""Each fault that a table can have, in each format: found at its row and column, under its code."""

import pytest

from import_pipeline_tests.sample_files.checked import said_of
from import_pipeline_tests.sample_files.faults import FAULTS, Fault
from import_pipeline_tests.sample_files.writers import WRITERS

CASES = [(fault, form) for fault in FAULTS for form in WRITERS if form not in fault.not_in]


@pytest.mark.parametrize(("fault", "form"), CASES, ids=[f"{form}-{fault.name}" for fault, form in CASES])
def test_a_fault_is_found_where_it_is(fault: Fault, form: str, tmp_path):
    write, first_row = WRITERS[form]
    said = said_of(write(fault.header, fault.rows), f"{fault.name}.{form}", tmp_path)
    assert said.refused == fault.refused
    errors = [(row, column, code) for _, row, column, code in said.errors]
    assert errors == [(index + first_row, column, code) for index, column, code in fault.expected]
    assert set(fault.warnings) <= set(said.warnings)
    if not fault.refused:
        bad = {row for row, _, code in fault.expected if code != "repeated_in_file"}
        assert (said.counts.read, said.counts.rejected) == (len(fault.rows), len(bad))
