"""The one typed settings class: every variable the pipeline reads, read at use.

Nothing here is computed at import. Local services leave their addresses in
`<home>/services.json`; they fill whatever the environment does not set, service by service.
"""

import json
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from import_pipeline.errors import ConfigurationError

SERVICES_FILE = "services.json"
T = TypeVar("T")


class Settings(BaseSettings):
    """All settings; each field's description is the text in `.env.example`."""

    model_config = SettingsConfigDict(
        env_prefix="IMPORT_PIPELINE_", env_file=".env", extra="ignore", populate_by_name=True
    )

    home: Path = Field(Path(".import_pipeline"), description="Folder of local services and their data.")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL for ledger, staging and dataset tables. Empty: the local one."
    )
    owner_database_url: SecretStr | None = Field(
        None, description="Role that owns the schema; only `import-pipeline migrate` uses it."
    )
    dagster_database_url: SecretStr | None = Field(
        None, description="PostgreSQL for Dagster's own storage. Empty: the local one."
    )
    bucket: str | None = Field(
        None, description="S3 bucket that people drop files into. Empty: the local one."
    )
    datasets: str = Field(
        "", description="Modules or folders with datasets of your own, separated by commas."
    )
    workspaces: str = Field(
        "", description="Workspaces that may import, separated by commas. Empty: every valid name."
    )
    processes: Literal["many", "one"] = Field(
        "many", description="`many`: large files fan out over processes; `one`: every run in one process."
    )
    small_file_mb: float = Field(
        20, gt=0, description="Files below this many megabytes run in one process, in the `small` lane."
    )
    sensor_interval_seconds: int = Field(10, ge=1, description="Seconds between two looks at the bucket.")
    max_runs_per_tick: int = Field(25, ge=1, description="Most runs that one sensor tick launches.")
    max_queued_per_workspace: int = Field(
        50, ge=1, description="Most queued runs of one workspace; the rest wait in the ledger."
    )
    row_errors_cap: int = Field(
        1000, ge=0, description="Most row errors kept in the ledger for one upload; errors.csv has all."
    )
    undo_days: int = Field(30, ge=0, description="Days for which an import can be undone after its publish.")
    database_connections: int = Field(
        8, ge=2, description="Most connections that staging and publishing hold together."
    )
    duckdb_memory_limit: str = Field(
        "512MB", description="Memory of one DuckDB connection, DuckDB's notation."
    )
    postgres_port: int = Field(0, ge=0, le=65535, description="Port of the local PostgreSQL; 0: a free one.")
    aws_port: int = Field(0, ge=0, le=65535, description="Port of the local AWS emulator; 0: a free one.")
    ui_port: int = Field(3000, ge=0, le=65535, description="Port of the Dagster UI; taken or 0: a free one.")

    aws_endpoint_url: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="Address of an S3-compatible store. Empty: AWS itself.",
    )
    aws_region: str = Field(
        "us-east-1",
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"),
        description="Region of the bucket.",
    )
    aws_access_key_id: str | None = Field(
        None, validation_alias="AWS_ACCESS_KEY_ID", description="Empty: boto3's own chain (role, profile, …)."
    )
    aws_secret_access_key: SecretStr | None = Field(
        None, validation_alias="AWS_SECRET_ACCESS_KEY", description="Goes with AWS_ACCESS_KEY_ID."
    )
    aws_session_token: SecretStr | None = Field(
        None, validation_alias="AWS_SESSION_TOKEN", description="For temporary credentials."
    )

    @property
    def is_local(self) -> bool:
        """Whether the embedded PostgreSQL is the ledger's database."""
        return self.database_url is None

    def require_database_url(self) -> str:
        """The ledger's URL, `postgresql://…`.

        Raises:
            ConfigurationError: neither the variable nor a running local service gives one.
        """
        return _required(self.database_url, "IMPORT_PIPELINE_DATABASE_URL").get_secret_value()

    def require_owner_database_url(self) -> str:
        """The URL that migrations use: the owner's if set, else the pipeline's."""
        if self.owner_database_url is not None:
            return self.owner_database_url.get_secret_value()
        return self.require_database_url()

    def require_bucket(self) -> str:
        """The bucket's name.

        Raises:
            ConfigurationError: neither the variable nor a running local service gives one.
        """
        return _required(self.bucket, "IMPORT_PIPELINE_BUCKET")


def _required(value: T | None, variable: str) -> T:
    if value is None:
        raise ConfigurationError(
            f"{variable} is not set and no local service is running.",
            remedy=f"Start `import-pipeline dev`, or set {variable}.",
            variable=variable,
        )
    return value


def load_settings() -> Settings:
    """Settings of this moment: the environment, then `.env`, then running local services."""
    settings = Settings()
    return settings.model_validate(_local_services(settings.home) | settings.model_dump(exclude_unset=True))


def _local_services(home: Path) -> dict[str, str]:
    """Field values that local services left behind; empty when none are running."""
    path = home / SERVICES_FILE
    if not path.exists():
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8")))
