"""The sample files, read and checked as a run does, give the errors that they say they give."""

from collections import Counter

import pytest

from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.codes import CODES
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sources.source import FileSource
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.samples import leads, vehicles
from import_pipeline.storage.store import LocalStore

SAMPLES = [s for m in (leads, vehicles) for s in vars(m).values() if hasattr(s, "counts")]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.file_name)
def test_a_sample_gives_the_errors_it_states(tmp_path, sample):
    dataset = load_datasets()[sample.dataset]
    (tmp_path / sample.file_name).write_bytes(sample.content())
    source, store = FileSource(tmp_path / sample.file_name), LocalStore(tmp_path / "store")
    options = sample.options
    inspected = inspect_file(source, dataset, options)
    split = split_file(source, inspected, dataset, options=options, store=store, staging="s/")

    checked = [
        check_batch(b, inspected, split.verdicts, dataset, options=options, store=store, staging="s/")
        for b in split.batches
    ]

    stated = {code: n for code, n in sample.codes.items() if CODES[code].level == "row"}
    assert sum((Counter(c.codes) for c in checked), Counter()) == Counter(stated)
    assert sum(c.read for c in checked) == split.read == sample.counts.read
    assert sum(c.valid + c.rejected for c in checked) == sample.counts.read
