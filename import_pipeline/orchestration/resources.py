"""Resources of the Dagster layer. Secrets stay in the environment: the UI shows every field."""

from dagster import ConfigurableResource, EnvVar
from dagster_aws.s3 import S3PickleIOManager, S3Resource

from import_pipeline.settings import load_settings


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
    s3 = S3Resource()
    return {
        "s3": s3,
        "database": DatabaseResource(),
        "io_manager": S3PickleIOManager(
            s3_resource=s3, s3_bucket=EnvVar("IMPORT_PIPELINE_BUCKET"), s3_prefix="dagster"
        ),
    }
