"""The one typed settings class: every variable the pipeline reads, read at use.

Nothing here is computed at import. Running local services leave their addresses in
`<home>/services.json`; they stand in for whatever neither the environment nor `.env` names,
service by service. Starting those services is services/running.py's.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from import_pipeline.errors import ConfigurationError
from import_pipeline.services.lock import is_held

SERVICES_FILE = "services.json"
DAGSTER_SCHEME = "postgresql+psycopg2://"
# What each local service fills. The first field of a group, set by hand, puts that service aside.
LEDGER_FIELDS = ("database_url", "owner_database_url")
DAGSTER_FIELDS = ("dagster_database_url",)
AWS_FIELDS = (
    "bucket",
    "aws_endpoint_url",
    "aws_region",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
)
T = TypeVar("T")


def _with_driver(value: Any) -> Any:
    """Name the driver: with SQLAlchemy 2.1, Dagster fails on every event under a plain URL."""
    if isinstance(value, str):
        for scheme in ("postgresql://", "postgres://"):
            if value.startswith(scheme):
                return DAGSTER_SCHEME + value.removeprefix(scheme)
    return value


def _readable_url(value: Any) -> Any:
    """Refuse a URL that would be cut in the wrong places: parts of its password would show in messages.

    Raises:
        ValueError: says what is wrong, never what was given.
    """
    if not isinstance(value, str) or (not value.startswith("postgres") and "=" in value):
        return value  # none, or libpq's own notation, `host=… password=…`
    if re.match(r"postgres(ql)?(\+psycopg2)?://", value) is None:
        raise ValueError("it has to begin with postgresql://")
    try:
        parts = urlsplit(value)
    except ValueError:  # it quotes what stands between // and /
        raise ValueError("special characters of its password are written percent-encoded") from None
    rest = parts.path + parts.query + parts.fragment
    if parts.netloc.count("@") > 1 or "@" in rest or re.search("%(?![0-9A-Fa-f]{2})", parts.netloc):
        raise ValueError("special characters of its password are written percent-encoded, %40 for @")
    return value


DatabaseUrl = Annotated[SecretStr | None, BeforeValidator(_readable_url)]
DagsterUrl = Annotated[SecretStr | None, BeforeValidator(_readable_url), BeforeValidator(_with_driver)]


class Settings(BaseSettings):
    """All settings; each field's description is the text in `.env.example`."""

    model_config = SettingsConfigDict(
        env_prefix="IMPORT_PIPELINE_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    home: Path = Field(Path(".import_pipeline"), description="Folder of local services and their data.")
    database_url: DatabaseUrl = Field(
        None, description="PostgreSQL for ledger, staging and dataset tables. Empty: the local one."
    )
    owner_database_url: DatabaseUrl = Field(
        None, description="Role that owns the schema; only `import-pipeline migrate` uses it."
    )
    dagster_database_url: DagsterUrl = Field(
        None,
        description="PostgreSQL for Dagster's own storage, written postgresql+psycopg2://… "
        "(deploy/dagster.yaml reads it too). Empty: the local one.",
    )
    bucket: str | None = Field(
        None, description="S3 bucket that people drop files into. Empty: the local one."
    )
    queue_url: str | None = Field(
        None,
        pattern=r"^https?://[^/]+/.+",
        description="SQS queue that the bucket sends its notifications to: files are noticed by its "
        "messages, and by a listing every 15 minutes. Empty: by listing alone.",
    )
    kms_key_id: str | None = Field(
        None,
        description="KMS key that encrypts whatever the pipeline writes. Empty: as the bucket is set up.",
    )
    datasets: str = Field(
        "", description="Modules or folders with datasets of your own, separated by commas."
    )
    workspaces: str = Field(
        "", description="Workspaces that may import, separated by commas. Empty: every valid name."
    )
    processes: Literal["many", "one"] = Field(
        "many", description="What a run launched by hand without config gets: `many` processes or `one`."
    )
    small_file_mb: float = Field(
        20, gt=0, description="Files below this many megabytes run in the `small` lane, others in `large`."
    )
    fan_out_mb: float = Field(
        500,
        ge=0,
        description="Files from this many megabytes on are launched with a process a batch; below, one "
        "process is faster (see docs/performance.md).",
    )
    sensor_interval_seconds: int = Field(5, ge=1, description="Seconds between two looks at the bucket.")
    max_runs_per_tick: int = Field(25, ge=1, description="Most runs that one sensor tick launches.")
    max_queued_per_workspace: int = Field(
        50, ge=1, description="Most queued runs of one workspace; the rest wait in the ledger."
    )
    row_errors_cap: int = Field(
        1000, ge=0, description="Most row errors kept in the ledger for one upload; errors.csv has all."
    )
    database_connections: int = Field(
        16, ge=4, description="Most connections that staging and publishing hold together."
    )
    undo_days: int = Field(30, ge=1, description="Days after its publish in which an upload can be undone.")
    staging_days: int = Field(
        7, ge=1, description="Days for which a failed or cancelled upload can go on where it stopped."
    )
    set_aside_days: int = Field(
        14,
        ge=0,
        description="Days after which the original of a failed, cancelled or ignored upload leaves "
        "`uploads/` for `quarantine/`; 0: never.",
    )
    archive_days: int = Field(
        365,
        ge=0,
        description="Days that originals stay in `archive/`, never fewer than undo takes; 0: for ever.",
    )
    quarantine_days: int = Field(
        90, ge=0, description="Days that originals stay in `quarantine/`; 0: for ever."
    )
    report_days: int = Field(365, ge=0, description="Days that reports stay in `reports/`; 0: for ever.")
    record_days: int = Field(
        30, ge=1, description="Days after a run's end that its records stay in `dagster/`."
    )
    partition_days: int = Field(
        90,
        ge=0,
        description="Days after which a finished upload is no longer a partition, never fewer than undo "
        "takes; 0: never.",
    )
    run_days: int = Field(
        90,
        ge=0,
        description="Days that Dagster keeps finished runs and their events, never fewer than partitions "
        "stay; 0: for ever.",
    )
    event_days: int = Field(
        365, ge=0, description="Days that the ledger keeps timelines of finished uploads; 0: for ever."
    )
    max_hours: float = Field(
        24, gt=0, description="Longest time that one import may run, in hours; then it is `failed`."
    )
    language: Literal["en", "pt"] = Field(
        "en", description="Language of messages to senders, where a dataset declares none: `en` or `pt`."
    )
    duckdb_memory_limit: str = Field(
        "256MB", description="Memory of one DuckDB connection, DuckDB's notation."
    )
    postgres_port: int = Field(0, ge=0, le=65535, description="Port of the local PostgreSQL; 0: a free one.")
    aws_port: int = Field(0, ge=0, le=65535, description="Port of the local AWS emulator; 0: a free one.")
    ui_port: int = Field(3000, ge=0, le=65535, description="Port of the Dagster UI; taken or 0: a free one.")

    aws_endpoint_url: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="Address of an S3-compatible store (or AWS_ENDPOINT_URL). Empty: AWS itself.",
    )
    aws_region: str = Field(
        "us-east-1",
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"),
        description="Region of the bucket (or AWS_DEFAULT_REGION).",
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

    _local: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether the ledger's database is the local one (running, or to be started)."""
        url = self.database_url
        return url is None or url.get_secret_value() == self._local.get("database_url")

    @property
    def is_local_aws(self) -> bool:
        """Whether the bucket is the local emulator's (running, or to be started)."""
        return self.bucket is None or (
            self.aws_endpoint_url is not None and self.aws_endpoint_url == self._local.get("aws_endpoint_url")
        )

    def allowed_workspaces(self) -> tuple[str, ...] | None:
        """Workspaces that may import; None: every valid name."""
        names = tuple(name.strip() for name in self.workspaces.split(",") if name.strip())
        return names or None

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

    def require_dagster_database_url(self) -> str:
        """The URL of Dagster's storage, `postgresql+psycopg2://…`.

        Raises:
            ConfigurationError: neither the variable nor a running local service gives one.
        """
        return _required(self.dagster_database_url, "IMPORT_PIPELINE_DAGSTER_DATABASE_URL").get_secret_value()

    def require_bucket(self) -> str:
        """The bucket's name.

        Raises:
            ConfigurationError: neither the variable nor a running local service gives one.
        """
        return _required(self.bucket, "IMPORT_PIPELINE_BUCKET")

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base` with every setting as a variable: what a child needs to see the same settings.

        Beside the local emulator none of the AWS variables of `base` remain.
        """
        dropped = "AWS_" if self.is_local_aws else "\0"
        env = {name: value for name, value in base.items() if not name.startswith(dropped)}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None or value == "":
                continue
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            env[variable_of(name)] = str(value.absolute()) if isinstance(value, Path) else text
        env["AWS_DEFAULT_REGION"] = self.aws_region  # the one that boto3 reads
        if self.is_local_aws and self.aws_endpoint_url is not None:
            env["AWS_ENDPOINT_URL"] = self.aws_endpoint_url
        return env


def _required(value: T | None, variable: str) -> T:
    if value is None:
        raise ConfigurationError(
            f"{variable} is not set and no local service is running.",
            remedy=f"Start `import-pipeline dev`, or set {variable}.",
            variable=variable,
        )
    return value


def variable_of(name: str) -> str:
    """The environment variable of a field."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return alias if isinstance(alias, str) else f"IMPORT_PIPELINE_{name.upper()}"


def load_settings() -> Settings:
    """Settings of this moment: the environment, then `.env`, then running local services.

    Raises:
        ConfigurationError: a variable has a value that is not allowed; names each.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = [f"{_variable_at(one['loc'])}: {one['msg']}" for one in error.errors(include_input=False)]
        raise ConfigurationError(
            "Wrong settings: " + "; ".join(wrong) + ".", remedy="See .env.example for what is allowed."
        ) from None
    return with_services(settings, read_services(settings.home))


def with_services(settings: Settings, services: Mapping[str, str]) -> Settings:
    """Settings filled from what local services offer, by field; what was set by hand stays."""
    update: dict[str, Any] = {}
    for group in (LEDGER_FIELDS, DAGSTER_FIELDS, AWS_FIELDS):
        if getattr(settings, group[0]) is None and group[0] in services:
            update |= {name: services.get(name) for name in group}
    secrets = ("database_url", "owner_database_url", "dagster_database_url", "aws_secret_access_key")
    for name in secrets:
        if update.get(name) is not None:
            update[name] = SecretStr(update[name])
    filled = settings.model_copy(update=update)
    filled._local = dict(services)
    return filled


def read_services(home: Path) -> dict[str, str]:
    """Field values that running local services offer; empty when none run.

    Raises:
        ConfigurationError: another user's services run there.
    """
    path = home / SERVICES_FILE
    # A file left behind by a killed process is not believed: the lock goes with the processes.
    if not path.exists() or not is_held(home):
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["settings"])
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise ConfigurationError(
            f"{path} belongs to another user, who runs local services there.",
            remedy="Run as that user, or set IMPORT_PIPELINE_HOME to a folder of your own.",
        ) from error


def _variable_at(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return variable_of(name) if name in Settings.model_fields else name
