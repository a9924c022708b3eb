"""Resources of the Dagster layer. Secrets stay in the environment: the UI shows every field."""

import os
from typing import Any

from dagster import ConfigurableResource
from dagster_aws.s3 import S3Resource

from import_pipeline.orchestration.io_manager import build_io_manager
from import_pipeline.settings import load_settings
from import_pipeline.storage.bucket import s3_client

_CLIENTS: dict[tuple[tuple[str, str], ...], Any] = {}


class SharedS3Resource(S3Resource):
    """dagster-aws's S3 resource, configured by the settings, with one client a process.

    Dagster asks for a client at every op and once more for the IO manager, and each costs 0.2 s of
    CPU to make; the fork server makes it before the first step is forked. Signatures are v4, which
    newer regions ask of links, and time-outs are those of the command line.
    """

    def get_client(self) -> Any:
        """The process's client for the AWS variables as they are now."""
        variables = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
        if variables not in _CLIENTS:
            _CLIENTS[variables] = s3_client(load_settings())
        return _CLIENTS[variables]


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
        "io_manager": build_io_manager(s3),
    }
