"""Sends the messages of a file to Naru in batches, and takes the reports of what became of them.

    python3 naru.py messages.json

Every message in the file has a key. The environment says where to call, and as whom: see docs/integrate.md.
"""

import base64
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from types import SimpleNamespace

NARU = os.environ["NARU"].rstrip("/")  # https://naru.example/sandbox, and without /sandbox to send for real
BATCH = 100  # messages of a call: up to 1,000, and no more than the burst of your rates
TIMEOUT = 30  # seconds without a byte: longer than the longest poll
ATTEMPTS = 6  # of a call, and of a message
LONGEST_WAIT = 60  # seconds; told to wait longer, it gives up and tells its caller
PASSING = (408, 429, 502, 503, 504)  # statuses after which the same call may succeed


def basic(method, url, body):
    """Id, password and API key in every call (RFC 7617)."""
    credential = os.environ["CREDENTIAL"]  # ID:PW:API_KEY
    return {"Authorization": "Basic " + base64.b64encode(credential.encode()).decode()}


def signed(method, url, body):
    """A signature over every call (RFC 9421), and over the digest of its body (RFC 9530)."""
    from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

    message = SimpleNamespace(method=method, url=url, headers={})
    key_id, secret = os.environ["KEY_ID"], base64.b64decode(os.environ["SECRET"])
    keys = MappingKeyResolver(public_keys={}, private_keys={key_id: secret})
    signer = HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=keys)
    covered = ("@method", "@authority", "@path", "@query")
    signer.sign(message, key_id=key_id, nonce=secrets.token_hex(16), covered_component_ids=covered, body=body)
    return message.headers


def jwt(method, url, body):
    """A token that you sign (RFC 7519), made for every call: it costs nothing, and never runs out."""
    from jwt import encode

    alg, now = os.environ["ALG"], int(time.time())
    if alg == "HS256":
        key = base64.urlsafe_b64decode(os.environ["SECRET"] + "=")
    else:  # RS256, ES256, EdDSA: a private key in PEM
        key = open(os.environ["KEY_FILE"]).read()
    claims = {"iss": os.environ["KEY_ID"], "aud": "naru", "iat": now, "exp": now + 300}
    return {"Authorization": "Bearer " + encode(claims, key, algorithm=alg, headers={"kid": os.environ["KID"]})}


fetched = {"token": "", "until": 0.0}


def token(method, url, body):
    """A token that the server makes for a Basic credential; another one is fetched a minute before it ends."""
    if time.monotonic() >= fetched["until"]:
        asked = time.monotonic()
        answer, _ = call("POST", "/v1.0/tokens", way=basic)
        fetched.update(token=answer["access_token"], until=asked + answer["expires_in"] - 60)
    return {"Authorization": "Bearer " + fetched["token"]}


WAYS = {"basic": basic, "hmac": signed, "jwt": jwt, "token": token}


class Refused(Exception):
    """The call was refused."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Naru never redirects, and a credential goes nowhere else."""

    def redirect_request(self, *_):
        return None


opener = urllib.request.build_opener(NoRedirects)


def ask(method, url, data, headers):
    """One request: the status, the headers and the body of its answer."""
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers, refusal.read()


def parsed(status, text):
    try:
        return json.loads(text)
    except ValueError:
        if status < 300:
            raise  # cut on its way
        return {}  # not from Naru, but from something in front of it


def call(method, path, body=None, way=None):
    """One call: its answer, and the seconds that Naru asks to wait before the next one.

    It is made again for as long as that can help, and proved anew each time: a signature may be used once.
    """
    way = way or WAYS[os.environ["WAY"]]
    data = None if body is None else json.dumps(body).encode()
    for attempt in range(ATTEMPTS):
        headers = way(method, NARU + path, data)
        if data is not None:
            headers["Content-Type"] = "application/json"
        wait = 2**attempt
        try:
            status, head, text = ask(method, NARU + path, data, headers)
            answer = parsed(status, text)
        except (OSError, ValueError, HTTPException) as error:
            failure = error  # nobody knows whether it was heard: keys make it safe to call again
        else:
            after = head.get("Retry-After", "")
            asked = int(after) if after.isdigit() else 0
            if status < 300 or "results" in answer:  # of a batch each item says what became of it, whatever the status
                return answer, asked
            code, wait = answer.get("code"), asked or wait
            failure = Refused(f"{status} {code}: {answer.get('detail')} ({head.get('Request-Id')})")
            if status not in PASSING or code == "quota-exceeded" or wait > LONGEST_WAIT:
                raise failure
        print(f"{path}: {failure}; again in {wait} s", file=sys.stderr)
        time.sleep(wait)
    raise failure


def may_pass(result):
    """Whether to send a message again, under the same key."""
    problem = result.get("problem", {})
    if problem.get("code") == "quota-exceeded":
        return False
    return result["result"] == "unknown" or problem.get("status") in PASSING or problem.get("code") == "key-in-flight"


def send(messages):
    """Sends messages as one batch; what became of each, by its key."""
    results, left = {}, list(messages)
    for attempt in range(ATTEMPTS):
        answer, asked = call("POST", "/v1.0/messages/batch", {"messages": left})
        results.update((left[result["index"]]["key"], result) for result in answer["results"])
        left = [message for message in left if may_pass(results[message["key"]])]
        if not left or asked > LONGEST_WAIT:
            break
        time.sleep(asked or 2**attempt)
    return results


def take(handle):
    """Waits up to 20 s for reports, has them handled, then acknowledges them; how many. What is not acknowledged comes again."""
    page = call("GET", "/v1.0/reports?limit=100&wait=20")[0]["reports"]
    for report in page:
        handle(report)
    if page:
        read = [{"id": report["id"], "revision": report["revision"]} for report in page]
        call("POST", "/v1.0/reports/ack", {"reports": read})
    return len(page)


def main():
    messages = json.load(open(sys.argv[1], encoding="utf-8"))["messages"]
    waiting = {}
    for first in range(0, len(messages), BATCH):
        for key, result in send(messages[first : first + BATCH]).items():
            if result["result"] == "accepted":
                waiting[result["id"]] = key
                print(key, "accepted", result["id"])
            else:
                print(key, result["result"], result["problem"]["code"])

    def handle(report):
        # Write it to your database here: once it is acknowledged it does not come again.
        print(report["key"], report["status"], report["code"], report["units"], "charged" if report["charged"] else "free")
        waiting.pop(report["id"], None)

    while waiting and take(handle):
        pass
    for key in waiting.values():
        print(key, "has no report yet", file=sys.stderr)
    return 1 if waiting else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Refused, OSError, ValueError, HTTPException) as error:
        sys.exit(f"given up: {error}")
