"""What of a delimited text must be known before its rows are read: encoding, delimiter, quoting, header.

Rows are `reading.py`'s.
"""

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.flow.batches.columns.headers import map_header
from import_pipeline.flow.batches.delimited.dialects import find_dialect
from import_pipeline.flow.batches.sizes import choose_rows_per_batch
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.flow.batches.text.encodings import Transcoder
from import_pipeline.flow.batches.text.whole import read_whole
from import_pipeline.records import Detected, InspectedFile, TextFacts


def inspect_delimited(
    source: Source, dataset: Dataset, options: SenderOptions, *, rows_per_batch: int | None = None
) -> InspectedFile:
    """Everything that must be known of a CSV or TSV before rows are read.

    Raises:
        PermanentImportError: the file or an option cannot be used; see the classes in `errors.py`.
    """
    facts = read_whole(source, encoding=options.encoding, default=dataset.defaults.encoding)
    complete = facts.size <= len(facts.head)
    text = Transcoder(facts.encoding).feed(facts.head, final=complete)
    found = find_dialect(text, complete=complete, dataset=dataset, options=options, file_name=source.name)
    mapped = map_header(found.header, dataset, source.name, guarded=True)
    return InspectedFile(
        format="csv",
        header=mapped.header,
        mapping=mapped.mapping,
        unknown=mapped.unknown,
        ours=mapped.ours,
        rows_per_batch=choose_rows_per_batch(
            facts.physical_lines - found.header_line, facts.size, rows_per_batch
        ),
        text=TextFacts(
            encoding=facts.encoding,
            physical_lines=facts.physical_lines,
            delimiter=found.dialect.delimiter,
            quote=found.dialect.quote,
            escape=found.dialect.escape,
            header_line=found.header_line,
        ),
        detected=(
            Detected("encoding", facts.encoding, facts.encoding_evidence, "encoding"),
            *found.detected,
            Detected("line ends", facts.line_ends.kinds, facts.line_ends.evidence),
        ),
        notices=found.notices,
    )
