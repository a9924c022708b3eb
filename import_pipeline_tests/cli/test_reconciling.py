"""`reconcile` says what the ledger does not know, and records it.

That it comes in once is held by orchestration/test_recovering.py.
"""

import pytest

from import_pipeline.cli.reconciling import _tell
from import_pipeline.ledger.uploads import get_upload


@pytest.fixture
def dropped(typed, leads_file, settings) -> None:
    """A file in the bucket that the ledger does not know."""
    typed("upload", leads_file, "-d", "leads", "-w", "acme")


def test_what_the_ledger_does_not_know_is_shown_and_then_recorded_once(typed, dropped, ledger):
    looked = typed("reconcile", "--dry-run", "--json")
    assert looked.json["recorded"] == []
    [upload] = looked.json["unknown"]
    assert get_upload(ledger, upload) is None

    recorded = typed("reconcile")
    assert recorded.exit_code == 0
    assert f"{upload} 1 originals recorded" in recorded.words
    assert "Dagster was not asked" in recorded.words
    assert get_upload(ledger, upload).state == "detected"
    assert "The ledger knows every original" in typed("reconcile").words


def test_an_original_that_does_not_say_what_it_was_is_named_with_the_remedy(typed, settings, s3):
    key = "archive/acme/leads/0123456789ab/old.csv"
    s3.put_object(Bucket=settings.require_bucket(), Key=key, Body=b"email\n")

    found = typed("reconcile", "--since", "1h")

    assert found.exit_code == 1
    assert f"{key} does not say what it was: copy it into `uploads/`" in found.words


def test_a_key_with_a_line_break_is_named_on_one_line(capsys):
    """Whoever wrote it could print a line that looked like one of ours."""
    _tell([], ("archive/acme/leads/0123456789ab/x\nERROR forged.csv",), dry_run=False)

    assert not [line for line in capsys.readouterr().err.splitlines() if line.startswith("ERROR")]
