"""Clients of SQS and SNS that are not Naru's, by boto3; one order on standard input, one line of JSON for its answer.

usage: sns.py ENDPOINT REGION
"""

import json
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
    attributes = {"RawMessageDelivery": str(raw).lower()}
    if policy:
        attributes["FilterPolicy"] = json.dumps(policy)
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


def take_away(queue, topic):
    """Deletes a queue of anybody's, and the topic's subscription that feeds it."""
    topic_arn = sns.create_topic(Name=topic)["TopicArn"]
    for one in sns.list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]:
        if one["Endpoint"].endswith(":" + queue):
            sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
            sqs.delete_queue(QueueUrl=url(queue))
            return {"taken": queue}
    return {}


class Endpoint(BaseHTTPRequestHandler):
    """An HTTP endpoint as AWS tells how to write one: the first post says where to confirm, the others bring what was published."""

    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        kind = self.headers["x-amz-sns-message-type"]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if kind == "SubscriptionConfirmation":
            # Whoever is not the one that subscribed does not know the token in there.
            with urllib.request.urlopen(json.loads(body)["SubscribeURL"], timeout=10) as answer:
                body = str(answer.status)
        self.seen.append({"path": self.path, "kind": kind, "body": body})

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    # Everything comes at once, and the emulator, unlike the service, does not try again.
    request_queue_size = 256


def endpoint_at(path, topic, raw):
    """Subscribes an HTTP endpoint, and waits until the topic says that it is confirmed."""
    if not hasattr(endpoint_at, "server"):
        endpoint_at.server = Server(("127.0.0.1", 0), Endpoint)
        threading.Thread(target=endpoint_at.server.serve_forever, daemon=True).start()
    place_of_it = f"http://127.0.0.1:{endpoint_at.server.server_port}{path}"
    topic_arn = sns.create_topic(Name=topic)["TopicArn"]
    said = sns.subscribe(
        TopicArn=topic_arn,
        Protocol="http",
        Endpoint=place_of_it,
        Attributes={"RawMessageDelivery": str(raw).lower()},
    )
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for one in sns.list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]:
            if one["Endpoint"] == place_of_it and one["SubscriptionArn"].startswith("arn:"):
                is_now = sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])["Attributes"]
                if is_now["PendingConfirmation"] == "false":
                    return {"first": said["SubscriptionArn"], "attributes": is_now}
        time.sleep(0.05)
    return {"first": said["SubscriptionArn"]}


def heard():
    return list(Endpoint.seen)


orders = {
    "subscribe": subscribe,
    "receive": receive,
    "take_away": take_away,
    "endpoint_at": endpoint_at,
    "heard": heard,
}
for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps(orders[order.pop("do")](**order)), flush=True)
