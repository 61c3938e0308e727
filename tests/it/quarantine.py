"""Whoever may write to a queue and knows no key: copies the envelope that lies there, forged, cut and swollen.

usage: quarantine.py sqlite FILE
       quarantine.py rabbitmq URL QUEUE
       quarantine.py sqs ENDPOINT REGION QUEUE
"""

import base64
import sqlite3
import sys


def harmed(envelope, bytes_more):
    """The same with another last byte, its first half, the same and many bytes more, and something else entirely."""
    forged = envelope[:-1] + bytes([envelope[-1] ^ 1])
    return [forged, envelope[: len(envelope) // 2], envelope + b" " * bytes_more, b"what is this?"]


def in_sqlite(file):
    with sqlite3.connect(file, timeout=10) as queue:
        route, lane, group, at, envelope = queue.execute(
            "SELECT route, lane, grp, published_at, envelope FROM pack"
        ).fetchone()
        for body in harmed(envelope, 8 << 20):
            queue.execute(
                "INSERT INTO pack (route, lane, grp, published_at, envelope) VALUES (?, ?, ?, ?, ?)",
                (route, lane, group, at, body),
            )


def on_rabbitmq(url, queue):
    import pika

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    method, _, envelope = channel.basic_get(queue)
    channel.basic_reject(method.delivery_tag, requeue=True)
    for body in harmed(envelope, 8 << 20):
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2), mandatory=True)


def on_sqs(endpoint, region, queue):
    import boto3

    sqs = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, VisibilityTimeout=30)["Messages"][0]
    # As many as a message of SQS has room for, beside its base64.
    *wrapped, other = harmed(base64.b64decode(found["Body"]), 180 << 10)
    bodies = [*(base64.b64encode(body).decode() for body in wrapped), other.decode()]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"], VisibilityTimeout=0)


{"sqlite": in_sqlite, "rabbitmq": on_rabbitmq, "sqs": on_sqs}[sys.argv[1]](*sys.argv[2:])
