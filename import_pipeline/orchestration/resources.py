"""Resources of the Dagster layer. Secrets stay in the environment: the UI shows every field."""

import os
from typing import Any

from dagster import ConfigurableResource, EnvVar
from dagster_aws.s3 import S3PickleIOManager, S3Resource

from import_pipeline.settings import load_settings

_CLIENTS: dict[tuple[Any, ...], Any] = {}


class SharedS3Resource(S3Resource):
    """dagster-aws's S3 resource with one client a process; a client costs 0.2 s of CPU to make.

    Dagster asks for one at every op and once more for the IO manager. The fork server makes it
    before the first step is forked.
    """

    def get_client(self) -> Any:
        """The process's client for this configuration and these AWS variables."""
        variables = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
        key = (repr(self), variables)
        if key not in _CLIENTS:
            _CLIENTS[key] = super().get_client()
        return _CLIENTS[key]


class DatabaseResource(ConfigurableResource):
    """PostgreSQL of ledger, staging and dataset tables; its URL is read from the settings at use."""

    def url(self) -> str:
        """The ledger's URL.

        Raises:
            ConfigurationError: no database is set and no local one is running.
        """
        return load_settings().require_database_url()


def build_resources() -> dict[str, object]:
    """Resources of all ops: S3 by boto3's own chain of credentials, records under `dagster/`."""
    s3 = SharedS3Resource()
    return {
        "s3": s3,
        "database": DatabaseResource(),
        "io_manager": S3PickleIOManager(
            s3_resource=s3, s3_bucket=EnvVar("IMPORT_PIPELINE_BUCKET"), s3_prefix="dagster"
        ),
    }
