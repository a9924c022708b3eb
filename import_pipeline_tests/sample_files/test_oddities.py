"""Each fault and oddity that only one format can have: what is said of the file, row by row."""

import pytest

from import_pipeline_tests.sample_files.checked import said_of
from import_pipeline_tests.sample_files.oddities import ODDITIES, Oddity


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: f"{oddity.extension}-{oddity.name}")
def test_an_odd_file_is_read_or_refused_as_stated(oddity: Oddity, tmp_path):
    said = said_of(
        oddity.data(), f"{oddity.name}.{oddity.extension}", tmp_path,
        dataset=oddity.dataset, options=oddity.options,
    )  # fmt: skip
    assert said.refused == oddity.refused
    assert said.errors == list(oddity.expected)
    assert (said.counts.read if said.counts else None) == oddity.read
    assert said.warnings == sorted(oddity.warnings)
