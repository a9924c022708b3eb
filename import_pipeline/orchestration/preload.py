"""Imports for the fork server, so that no step process imports anything of weight itself.

Dagster, SQLAlchemy and pandera import parts of themselves lazily: those are named here too. What is here
stays: the garbage collector of a forked process neither searches it nor touches, and so copies, its pages.
"""

import gc
from contextlib import suppress

import botocore.handlers
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
from botocore.exceptions import BotoCoreError

import import_pipeline.definitions
from import_pipeline.flow.reports.page import page_template
from import_pipeline.language import LOCALES
from import_pipeline.orchestration.resources import SharedS3Resource

with suppress(BotoCoreError):  # whatever is wrong, the step that needs the client says it
    SharedS3Resource().get_client()
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
