"""Clients of SQS and SNS that are not Naru's, by boto3; one order on standard input, one line of JSON for its answer.

usage: sns.py ENDPOINT REGION
"""

import json
import sys
import time

import boto3

endpoint, region = sys.argv[1:]
place = {"endpoint_url": endpoint, "region_name": region}
place |= {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
sqs, sns = boto3.client("sqs", **place), boto3.client("sns", **place)


def url(queue):
    return sqs.get_queue_url(QueueName=queue)["QueueUrl"]


def subscribe(queue, topic, raw, policy):
    """A queue of one's own, with a filter policy."""
    made = sqs.create_queue(QueueName=queue)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=made, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    attributes = {"RawMessageDelivery": str(raw).lower(), "FilterPolicy": json.dumps(policy)}
    topic_arn = sns.create_topic(Name=topic)["TopicArn"]
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    return {"queue": queue}


def receive(queue, seconds):
    """Everything that comes within so many seconds, and stays there for others if nothing is deleted."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        answer = sqs.receive_message(
            QueueUrl=url(queue),
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            VisibilityTimeout=0 if seconds < 2 else 60,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        )
        for message in answer.get("Messages", []):
            attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
            found.append({"body": message["Body"], "attributes": attributes, "system": message.get("Attributes", {})})
        if found and seconds < 2:
            break
    return found


orders = {"subscribe": subscribe, "receive": receive}
for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps(orders[order.pop("do")](**order)), flush=True)
