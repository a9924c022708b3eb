"""What boto3 raises, as our errors: trouble that passes, a wrong set-up, or an answer to act on.

An answer to act on (404, 412) stays a botocore `ClientError`: only the caller knows what it means.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3.exceptions
import s3transfer.exceptions
from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from import_pipeline.errors import ConfigurationError, StorageUnavailable

UNREACHABLE = (
    HTTPClientError,
    BotocoreConnectionError,
    IncompleteReadError,
    ResponseStreamingError,
    boto3.exceptions.RetriesExceededError,
    s3transfer.exceptions.RetriesExceededError,
)
PASSING = frozenset({
    "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestTimeout",
    "RequestTimeoutException", "InternalError", "ServiceUnavailable", "OperationAborted",
    "ConditionalRequestConflict",
})  # fmt: skip
SETTINGS = {
    "AccessDenied": "Grant the pipeline's user the policy in deploy/.",
    "InvalidAccessKeyId": "Set AWS_ACCESS_KEY_ID to a key that exists.",
    "SignatureDoesNotMatch": "Set AWS_SECRET_ACCESS_KEY to the secret of AWS_ACCESS_KEY_ID.",
    "ExpiredToken": "Renew the temporary credentials.",
    "NoSuchBucket": "Set IMPORT_PIPELINE_BUCKET to a bucket that exists.",
    "403": "Grant the pipeline's user the policy in deploy/.",
}


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Translate what boto3 raises inside.

    Args:
        doing: what was tried, for the message: `read uploads/…`.

    Raises:
        StorageUnavailable: no answer, a broken answer, a 5xx, or `SlowDown`; safe to repeat.
        ConfigurationError: no credentials, no permission, no such bucket.
        ClientError: any other answer, unchanged.
    """
    try:
        yield
    except UNREACHABLE as error:
        raise unavailable(doing, error) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ConfigurationError(
            f"Could not {doing}: there are no credentials for S3.",
            remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.",
        ) from error
    except ClientError as error:
        code = answer(error)
        if status(error) >= 500 or status(error) == 429 or code in PASSING:
            raise unavailable(doing, error) from error
        if code in SETTINGS:
            raise ConfigurationError(
                f"Could not {doing}: S3 answers {code}.", remedy=SETTINGS[code], answer=code
            ) from error
        raise


def unavailable(doing: str, error: object) -> StorageUnavailable:
    """The error for trouble that passes."""
    return StorageUnavailable(
        f"Could not {doing}: {error}", remedy="Nothing to do: it is tried again.", doing=doing
    )


def answer(error: ClientError) -> str:
    """S3's own code of an answer, such as `NoSuchKey`; the bare status for a HEAD."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status(error: ClientError) -> int:
    """The HTTP status of an answer."""
    facts: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
    return int(facts.get("HTTPStatusCode", 0))
