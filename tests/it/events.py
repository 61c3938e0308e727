"""The AsyncAPI document as JSON, and whether events are what it says. Lines of JSON in, a line of JSON out for each.

usage: events.py DOCUMENT; orders: {"do": "document"}, {"do": "check", "kind": "naru...", "event": {...}}
"""

import json
import sys

import yaml
from jsonschema import Draft7Validator, FormatChecker

with open(sys.argv[1], encoding="utf-8") as file:
    document = yaml.safe_load(file)

# References lead into the document, whose root a schema carries along.
messages = document["components"]["messages"]


def check(kind, event):
    message = messages.get(kind)
    if message is None:
        return [f"{kind} has no message"]
    schema = {"components": document["components"], **message["payload"]}
    Draft7Validator.check_schema(message["payload"])
    validator = Draft7Validator(schema, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(event)]


for line in sys.stdin:
    order = json.loads(line)
    answer = document if order["do"] == "document" else {"errors": check(order["kind"], order["event"])}
    print(json.dumps(answer, default=str), flush=True)
