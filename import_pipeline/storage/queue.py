"""The SQS queue that the bucket sends its notifications to: receive, delete, and how it is set up.

What a message says is `flow/arrivals/notifications.py`'s. A message that is not deleted comes again,
and after some times SQS moves it to the dead-letter queue.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from import_pipeline.errors import ConfigurationError
from import_pipeline.settings import Settings
from import_pipeline.storage.faults import answer, storage_errors, unavailable

A_CALL = 10  # SQS: messages of one call, at most
CALLS_AT_ONCE = 8
WAIT_SECONDS = 1  # a long poll asks all of SQS's servers; longer ones would hold up the sensor's tick
WRONG_SET_UP = {
    "AWS.SimpleQueueService.NonExistentQueue": "Set IMPORT_PIPELINE_QUEUE_URL to a queue that exists.",
    "QueueDoesNotExist": "Set IMPORT_PIPELINE_QUEUE_URL to a queue that exists.",
    "InvalidAddress": "Set IMPORT_PIPELINE_QUEUE_URL to the URL of a queue.",
    "AccessDenied": "Grant the pipeline's user deploy/sqs/pipeline.json.",
    "AccessDeniedException": "Grant the pipeline's user deploy/sqs/pipeline.json.",
}


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        receipt: deletes it; of this receiving only.
        received: how often SQS gave it out, this time included.
    """

    message_id: str
    body: str
    receipt: str
    received: int


@dataclass(frozen=True)
class QueueFacts:
    """How a queue is set up and how full it is.

    Attributes:
        waiting: about so many messages; `in_flight`: received and not deleted.
        dead_letter_queue: ARN; None if a message that cannot be read comes again for ever.
        most_receives: after so many times a message goes there.
    """

    waiting: int
    in_flight: int
    dead_letter_queue: str | None
    most_receives: int


def sqs_client(settings: Settings) -> Any:
    """A boto3 client for the server that `settings.queue_url` names."""
    place = urlsplit(settings.queue_url or "")
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return boto3.Session().client(
        "sqs",
        endpoint_url=f"{place.scheme}://{place.netloc}",
        region_name=settings.aws_region,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        config=Config(
            connect_timeout=5,
            read_timeout=WAIT_SECONDS + 20,
            retries={"mode": "standard", "max_attempts": 3},
            max_pool_connections=CALLS_AT_ONCE,
        ),
    )


class Queue:
    """One queue.

    Args:
        client: boto3 SQS client.
    """

    def __init__(self, client: Any, url: str):
        self.client = client
        self.url = url

    def receive(self, at_most: int) -> list[Message]:
        """Messages that wait, about `at_most`; waits a second for the first ones.

        Raises:
            StorageUnavailable: the queue does not answer.
            ConfigurationError: there is no such queue, or no right to read it.
        """
        found, calls = self._receive(), 1
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            while found and len(found) < at_most:
                more = [m for part in pool.map(lambda _: self._receive(), range(calls)) for m in part]
                if not more:
                    break
                found, calls = found + more, min(2 * calls, CALLS_AT_ONCE)
        return found

    def delete(self, messages: Sequence[Message]) -> int:
        """Delete messages; the number that SQS did not delete (they come again).

        Raises:
            StorageUnavailable, ConfigurationError: as for `receive`.
        """
        some = [messages[start : start + A_CALL] for start in range(0, len(messages), A_CALL)]
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            return sum(pool.map(self._delete, some))

    def facts(self) -> QueueFacts:
        """How the queue is set up.

        Raises:
            StorageUnavailable, ConfigurationError: as for `receive`.
        """
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "RedrivePolicy"]
        with self._errors("look at"):
            found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=wanted)["Attributes"]
        redrive = json.loads(found.get("RedrivePolicy") or "{}")
        return QueueFacts(
            waiting=int(found.get(wanted[0], 0)),
            in_flight=int(found.get(wanted[1], 0)),
            dead_letter_queue=redrive.get("deadLetterTargetArn"),
            most_receives=int(redrive.get("maxReceiveCount", 0)),
        )

    def _receive(self) -> list[Message]:
        with self._errors("read"):
            found = self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=A_CALL,
                WaitTimeSeconds=WAIT_SECONDS,
                AttributeNames=["ApproximateReceiveCount"],
            )
        return [
            Message(
                message_id=one["MessageId"],
                body=one["Body"],
                receipt=one["ReceiptHandle"],
                received=int(one.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            for one in found.get("Messages", ())
        ]

    def _delete(self, messages: Sequence[Message]) -> int:
        entries = [{"Id": str(n), "ReceiptHandle": one.receipt} for n, one in enumerate(messages)]
        with self._errors("delete from"):
            found = self.client.delete_message_batch(QueueUrl=self.url, Entries=entries)
        return len(found.get("Failed", ()))

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """What boto3 raises, as our errors."""
        what = f"{doing} the queue {self.url}"
        try:
            with storage_errors(what):
                yield
        except (ClientError, ConfigurationError) as error:
            cause = error if isinstance(error, ClientError) else error.__cause__
            code = answer(cause) if isinstance(cause, ClientError) else ""
            if code in WRONG_SET_UP:
                raise ConfigurationError(
                    f"Could not {what}: SQS answers {code}.", remedy=WRONG_SET_UP[code], answer=code
                ) from error
            if isinstance(error, ConfigurationError):
                raise
            raise unavailable(what, error) from error
