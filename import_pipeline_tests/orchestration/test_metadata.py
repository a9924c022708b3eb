"""What the Dagster UI shows of a report, apart from a run; with one, test_importing.py."""

import pytest
from pydantic import SecretStr

from import_pipeline.flow.reports.writing import WrittenReport
from import_pipeline.orchestration.metadata import _links
from import_pipeline.settings import Settings
from import_pipeline.storage.bucket import Bucket, s3_client

WRITTEN = WrittenReport("p/", "p/s.html", "p/s.json", None, None, 0, (), (), 0, {}, {})


@pytest.mark.parametrize("token", [None, "planted-session-token"])
def test_with_temporary_credentials_the_ui_shows_paths_not_links_that_carry_their_token(
    settings: Settings, token: str | None
) -> None:
    """Metadata stays as long as the run; `import-pipeline report` makes links when they are asked for."""
    chosen = settings.model_copy(update={"aws_session_token": SecretStr(token) if token else None})
    shown = {
        name: str(value.value) for name, value in _links(Bucket(s3_client(chosen), "b"), WRITTEN).items()
    }

    assert shown["report"] == "s3://b/p/"
    if token:
        assert shown["page link"] == "s3://b/p/s.html"
        assert token not in "".join(shown.values())
    else:
        assert "X-Amz-Signature=" in shown["page link"]
