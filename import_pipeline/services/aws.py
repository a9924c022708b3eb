"""The local AWS emulator (S3, SQS, IAM, STS): its process, its bucket, its user.

The pipeline runs as an IAM user with the policy of deploy/s3-policies/pipeline.json; the root
key stays with set-up. What the bucket holds is the pipeline's.
"""

import http.client
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.client import Config

from import_pipeline.errors import ConfigurationError
from import_pipeline.services.files import deploy_text
from import_pipeline.services.processes import GuardedProcess, choose_port, plain_environment

BUCKET = "imports"
PIPELINE_USER = "import-pipeline"
REGION = "us-east-1"
START_SECONDS = 60.0
PORT_TRIES = 3
READY_PATH = "/_ministack/health"


@dataclass(frozen=True)
class Key:
    """An access key and its secret."""

    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True)
class LocalAws:
    """A running emulator; `root` may do everything, so only set-up uses it."""

    process: GuardedProcess
    port: int
    root: Key

    @property
    def endpoint_url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, key: Key | None = None) -> Any:
        """A boto3 client with a key (default: root's), one for each key: making one takes 5 ms."""
        return _client(self.endpoint_url, service, key or self.root)


@cache
def _session() -> boto3.session.Session:
    """One session for all clients: it reads each service's description once."""
    return boto3.session.Session()


@cache
def _client(endpoint_url: str, service: str, key: Key) -> Any:
    return _session().client(
        service,
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        aws_session_token=None,
        config=Config(signature_version="s3v4" if service == "s3" else None),
    )


def start_aws(home: Path, root: Key, *, port: int = 0, held_fds: Sequence[int] = ()) -> LocalAws:
    """Start the emulator over `<home>/aws`.

    Args:
        port: 0 for a free one.

    Raises:
        ConfigurationError: it is not installed, the port is taken, or it does not start.
    """
    if importlib.util.find_spec("ministack") is None:
        raise ConfigurationError(
            "The local AWS emulator is not installed.",
            remedy="Install the extra: pip install 'import-pipeline[local]', or set IMPORT_PIPELINE_BUCKET.",
        )
    for _ in range(PORT_TRIES):
        chosen = choose_port(port, "IMPORT_PIPELINE_AWS_PORT")
        process = _server(home, root, chosen, held_fds)
        process.start()
        try:
            if _wait_until_ready(process, chosen):
                return LocalAws(process, chosen, root)
        except BaseException:
            process.stop()
            raise
        process.stop()
        if "already in use" not in process.tail(50):
            break
    raise ConfigurationError(
        f"The local AWS emulator did not start:\n{process.tail()}", remedy=f"See {process.log}."
    )


def create_bucket(aws: LocalAws, name: str = BUCKET) -> None:
    """Create a bucket, without versioning, if it is missing."""
    s3 = aws.client("s3")
    if name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=name)


def create_pipeline_user(aws: LocalAws, bucket: str, known: Key | None) -> Key:
    """Create the pipeline's user, with its policy for `bucket`, if missing.

    Args:
        known: the key it had before; kept if it is still the user's.

    Returns:
        Its key.
    """
    iam = aws.client("iam")
    if PIPELINE_USER not in [user["UserName"] for user in iam.list_users()["Users"]]:
        iam.create_user(UserName=PIPELINE_USER)
    allow_bucket(aws, bucket)
    keys = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=PIPELINE_USER)["AccessKeyMetadata"]]
    if known is not None and known.access_key_id in keys:
        return known
    for old in keys:
        iam.delete_access_key(UserName=PIPELINE_USER, AccessKeyId=old)
    made = iam.create_access_key(UserName=PIPELINE_USER)["AccessKey"]
    return Key(made["AccessKeyId"], made["SecretAccessKey"])


def allow_bucket(aws: LocalAws, bucket: str) -> None:
    """Give the pipeline's user the policy of deploy/ for one bucket."""
    document = deploy_text("pipeline.json").replace("BUCKET", bucket)
    aws.client("iam").put_user_policy(UserName=PIPELINE_USER, PolicyName=bucket, PolicyDocument=document)


def _server(home: Path, root: Key, port: int, held_fds: Sequence[int]) -> GuardedProcess:
    folder = home / "aws"
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    env = plain_environment(os.environ) | {
        "BIND_HOST": "127.0.0.1",  # it binds every interface otherwise
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3,sqs,iam,sts",
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": root.access_key_id,
        "AWS_SECRET_ACCESS_KEY": root.secret_access_key,
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder / "state"),
        "MINISTACK_REGION": REGION,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": f"unix://{scratch / 'no-docker.sock'}",  # never touch the machine's containers
        "TMPDIR": str(scratch),
        "LOG_LEVEL": "WARNING",
    }
    return GuardedProcess(
        name="AWS emulator",
        command=[sys.executable, "-m", "ministack"],
        env=env,
        log=home / "logs" / "aws.log",
        cwd=folder,
        held_fds=held_fds,
    )


def _wait_until_ready(process: GuardedProcess, port: int) -> bool:
    until = time.monotonic() + START_SECONDS
    while process.exit_code() is None and time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", READY_PATH)
            if connection.getresponse().status == http.HTTPStatus.OK:
                return process.exit_code() is None
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    return False
