"""A subscriber that is not Naru's: it gives the topic a queue of its own, by boto3, and writes down every event that comes.

usage: outside.py ENDPOINT REGION TOPIC JOURNAL; prints a line once it is subscribed.
"""

import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

endpoint, region, topic_name, journal = sys.argv[1:]
QUEUE = "outside"

# An emulator may be away for seconds: whatever fails is tried again here, not by the client.
config = Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=10)
place = {"endpoint_url": endpoint, "region_name": region, "config": config}
place |= {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
sqs, sns = boto3.client("sqs", **place), boto3.client("sns", **place)


def subscribe():
    topic = sns.create_topic(Name=topic_name)["TopicArn"]
    url = sqs.create_queue(QueueName=QUEUE, Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=attributes["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    return url


def follow(url, lines):
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
    messages = received.get("Messages", [])
    for message in messages:
        event = json.loads(message["Body"])
        seen = {"id": event["id"], "subject": event["subject"], "sequence": event["sequence"], "kind": event["type"]}
        lines.write(json.dumps(seen) + "\n")
    lines.flush()
    entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
    if entries:
        # What could not be deleted comes again, and is written down again.
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)


with open(journal, "a", encoding="utf-8") as lines:
    url = None
    while True:
        try:
            if url is None:
                url = subscribe()
                print(url, flush=True)
            follow(url, lines)
        except (BotoCoreError, ClientError) as error:
            print(error, file=sys.stderr, flush=True)
            time.sleep(0.2)
