"""A queue as deploy/sqs/ sets it up: with a dead-letter queue, the bucket's notifications, and rights."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from import_pipeline.services import aws as local_aws
from import_pipeline_tests.waiting import wait_until

DEPLOY = Path(__file__).parents[1] / "deploy" / "sqs"
ACCOUNT = "000000000000"
MOST_RECEIVES = 2


@dataclass(frozen=True)
class TestQueue:
    """A queue and its dead-letter queue; `sqs` is root's client, `receipts` are of what was received."""

    __test__ = False

    sqs: Any
    url: str
    dead_letters: str
    receipts: list[str] = field(default_factory=list)

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def waiting(self, url: str | None = None) -> int:
        """Messages that are in the queue, received or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def hold(self, messages: int) -> None:
        """Wait until the queue has so many: notifications come a moment after their object."""
        wait_until(lambda: self.waiting() == messages)

    def time_out(self) -> None:
        """Have what was received and not deleted come again, as after its visibility time-out."""
        while self.receipts:
            with suppress(self.sqs.exceptions.ReceiptHandleIsInvalid, self.sqs.exceptions.MessageNotInflight):
                self.sqs.change_message_visibility(
                    QueueUrl=self.url, ReceiptHandle=self.receipts.pop(), VisibilityTimeout=0
                )


def deployed(name: str, queue: str, bucket: str) -> str:
    """A file of deploy/sqs/ with its capitals filled in."""
    names = {"REGION": local_aws.REGION, "ACCOUNT": ACCOUNT, "QUEUE": queue, "BUCKET": bucket}
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for place, value in names.items():
        text = text.replace(place, value)
    return text


@contextmanager
def queue_of(services: Any, bucket: str) -> Iterator[TestQueue]:
    """A queue that `bucket` notifies and the pipeline's user may read."""
    name = f"arrivals-{secrets.token_hex(4)}"
    sqs, s3, iam = (services.aws.client(service) for service in ("sqs", "s3", "iam"))
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    redrive = {
        "deadLetterTargetArn": f"arn:aws:sqs:{local_aws.REGION}:{ACCOUNT}:{name}-dead",
        "maxReceiveCount": MOST_RECEIVES,
    }
    url = sqs.create_queue(
        QueueName=name,
        Attributes={
            "Policy": deployed("access-policy.json", name, bucket),
            "RedrivePolicy": json.dumps(redrive),
            "VisibilityTimeout": "600",
        },
    )["QueueUrl"]
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=json.loads(deployed("notification.json", name, bucket))
    )
    user = {"UserName": local_aws.PIPELINE_USER, "PolicyName": name}
    iam.put_user_policy(**user, PolicyDocument=deployed("pipeline.json", name, bucket))
    try:
        yield TestQueue(sqs, url, dead)
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        iam.delete_user_policy(**user)
        for one in (url, dead):
            sqs.delete_queue(QueueUrl=one)
