"""What the fork server has ready, so that no run and no step imports, compiles or asks for it again.

Dagster, SQLAlchemy and pandera import parts of themselves lazily: those are named here too. What is here
stays: the garbage collector of a forked process neither searches it nor touches, and so copies, its pages.
"""

import gc
from contextlib import closing, suppress

import botocore.handlers
import dagster
import dagster._core.definitions.reconstruct
import dagster._core.executor.child_process_executor
import dagster._core.executor.multiprocess
import dagster._grpc.types
import dagster_aws.s3
import dagster_postgres
import duckdb
import pandera.pandas
import psycopg
import psycopg2
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
import sqlalchemy.dialects.postgresql
from babel.dates import format_datetime
from babel.numbers import format_percent

import import_pipeline.definitions
from import_pipeline.flow.reports.page import page_template
from import_pipeline.language import LOCALES
from import_pipeline.orchestration.dagster_storage import ask_ahead
from import_pipeline.orchestration.resources import SharedS3Resource
from import_pipeline.settings import load_settings
from import_pipeline.storage.bucket import s3_client
from import_pipeline.storage.conditions import deletes_on_condition


def _ask_the_store() -> None:
    SharedS3Resource().get_client()
    # Over connections of its own, which no forked process has: two of them would read each other's answers.
    # A store that is away holds no run up: the step that needs it waits for it, and says so.
    with closing(s3_client(settings := load_settings(), attempts=1)) as client:
        deletes_on_condition(client, settings.require_bucket())


def _ask_dagsters_database() -> None:
    with dagster.DagsterInstance.get() as instance:  # which closes its connections
        ask_ahead(instance)


for ask in (_ask_the_store, _ask_dagsters_database):
    with suppress(Exception):  # else there is no fork server; the step that needs what is lacking says so
        ask()
for job in import_pipeline.definitions.defs.get_repository_def().get_all_jobs():
    _ = job.run_config_schema  # kept by the job, as the job is by the definitions
page_template()
for locale in LOCALES.values():  # Babel reads them when it first needs them
    format_datetime(locale=locale)
    format_percent(0, locale=locale)
gc.collect()
gc.freeze()

__all__ = [
    "botocore", "dagster", "dagster_aws", "dagster_postgres", "duckdb",
    "import_pipeline", "pandera", "psycopg", "psycopg2", "pyarrow", "sqlalchemy",
]  # fmt: skip
