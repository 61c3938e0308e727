"""A client of the broker that is not ours: does what it is told, a line of JSON each, and answers with one.

Each command has a channel of its own, since a refusal closes it.
"""

import json
import sys

import pika
from pika.exceptions import ChannelClosedByBroker

connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))


def shown(method, properties, body):
    if method is None:
        return None
    return {
        "exchange": method.exchange,
        "routing_key": method.routing_key,
        "redelivered": method.redelivered,
        "properties": {
            name: getattr(properties, name)
            for name in (
                "content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to",
                "expiration", "message_id", "timestamp", "type", "user_id", "app_id",
            )
            if getattr(properties, name) is not None
        },
        "headers": properties.headers or {},
        "body": body.decode("latin-1"),
    }


def do(channel, what):
    verb = what["do"]
    if verb == "declare":
        frame = channel.queue_declare(
            what["queue"], passive=what["passive"], durable=True, arguments=what.get("arguments")
        )
        return {"messages": frame.method.message_count, "consumers": frame.method.consumer_count}
    if verb == "exchange":
        channel.exchange_declare(what["exchange"], exchange_type=what["type"], durable=True)
        return {}
    if verb == "get":
        method, properties, body = channel.basic_get(what["queue"])
        if method is not None:
            if what["then"] == "ack":
                channel.basic_ack(method.delivery_tag)
            else:
                channel.basic_reject(method.delivery_tag, requeue=what["then"] == "requeue")
        return {"message": shown(method, properties, body)}
    if verb == "publish":
        channel.confirm_delivery()
        channel.basic_publish(
            "", what["queue"], what["body"].encode("latin-1"), pika.BasicProperties(delivery_mode=2), mandatory=True
        )
        return {}
    raise ValueError(verb)


for line in sys.stdin:
    channel = connection.channel()
    try:
        answer = do(channel, json.loads(line))
        channel.close()
    except ChannelClosedByBroker as refused:
        answer = {"refused": refused.reply_code, "why": refused.reply_text}
    print(json.dumps(answer, default=str), flush=True)
