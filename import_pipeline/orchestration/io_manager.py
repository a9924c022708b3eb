"""What steps hand each other: small records, pickled below `dagster/` in the bucket.

Written there so that another process, or a re-execution, finds them; a run in one process is handed the
record itself, and reads nothing.
"""

import pickle
from typing import Any, cast

from dagster import EnvVar, InputContext, MetadataValue, OutputContext
from dagster._utils.cached_method import cached_method
from dagster_aws.s3 import S3PickleIOManager, S3Resource
from dagster_aws.s3.io_manager import PickledObjectS3IOManager
from upath import UPath

# A run has at most three records a batch.
MOST_KEPT = 1000


class RecordIOManager(PickledObjectS3IOManager):
    """dagster-aws's IO manager without what a small record does not need.

    No threads for parts of an object, and no log line for each record in either direction, which Dagster
    would keep in PostgreSQL.
    """

    def __init__(self, s3_bucket: str, s3_session: Any, s3_prefix: str | None = None):
        super().__init__(s3_bucket, s3_session, s3_prefix)
        self._kept: dict[UPath, Any] = {}

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write a record, and keep it for the steps of this process."""
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        path = self._get_path(context)
        self.s3.put_object(Bucket=self.bucket, Key=path.as_posix(), Body=pickle.dumps(obj))
        self._kept[path] = obj
        context.add_output_metadata({"uri": MetadataValue.path(self._uri_for_path(path))})

    def load_input(self, context: InputContext) -> Any:
        """The record that this process made, or the one that another did."""
        path = self._get_path(context)
        if path not in self._kept:
            return self.load_from_path(context, path)
        return self._kept[path]


class RecordStorage(S3PickleIOManager):
    """The resource: shown in the UI with its bucket and prefix."""

    @cached_method
    def inner_io_manager(self) -> PickledObjectS3IOManager:
        """The manager of one run, or of one step where each has its process."""
        resource = cast("S3Resource", self.s3_resource)
        return RecordIOManager(self.s3_bucket, resource.get_client(), self.s3_prefix)


def build_io_manager(s3: S3Resource) -> RecordStorage:
    """Records under `dagster/` of the pipeline's bucket."""
    return RecordStorage(s3_resource=s3, s3_bucket=EnvVar("IMPORT_PIPELINE_BUCKET"), s3_prefix="dagster")
