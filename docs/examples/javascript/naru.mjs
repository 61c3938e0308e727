/**
 * Sends the messages of a file to Naru in batches, and takes the reports of what became of them.
 *
 *     node naru.mjs messages.json
 *
 * Every message in the file has a key. The environment says where to call, and as whom: see docs/integrate.md.
 */

import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const env = process.env;
const NARU = env.NARU.replace(/\/+$/, ""); // https://naru.example/sandbox, and without /sandbox to send for real
const BATCH = 100; // messages of a call: up to 1,000, and no more than the burst of your rates
const TIMEOUT = 30_000; // milliseconds, for a whole call: longer than the longest poll
const ATTEMPTS = 6; // of a call, and of a message
const LONGEST_WAIT = 60; // seconds; told to wait longer, it gives up and tells its caller
const PASSING = [408, 429, 502, 503, 504]; // statuses after which the same call may succeed

/** Id, password and API key in every call (RFC 7617). */
function basic() {
  return { Authorization: "Basic " + Buffer.from(env.CREDENTIAL).toString("base64") }; // ID:PW:API_KEY
}

/** A signature over every call (RFC 9421), and over the digest of its body (RFC 9530). */
async function signed(method, url, body) {
  const { createSigner, httpbis } = await import("http-message-signatures");
  const message = { method, url, headers: {} };
  const fields = ["@method", "@authority", "@path", "@query"];
  if (body !== undefined) {
    message.headers["Content-Digest"] = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    fields.push("content-digest");
  }
  const key = createSigner(Buffer.from(env.SECRET, "base64"), "hmac-sha256", env.KEY_ID);
  const paramValues = { nonce: randomBytes(16).toString("hex") };
  const { headers } = await httpbis.signMessage({ key, fields, params: ["created", "nonce", "keyid"], paramValues }, message);
  return headers;
}

/** A token that you sign (RFC 7519), made for every call: it costs nothing, and never runs out. */
async function jwt() {
  const { SignJWT, base64url, importPKCS8 } = await import("jose");
  const alg = env.ALG; // HS256, or RS256, ES256, EdDSA with a private key in PEM
  const key = alg === "HS256" ? base64url.decode(env.SECRET) : await importPKCS8(readFileSync(env.KEY_FILE, "utf8"), alg);
  const claims = new SignJWT().setIssuer(env.KEY_ID).setAudience("naru").setIssuedAt().setExpirationTime("5m");
  return { Authorization: "Bearer " + await claims.setProtectedHeader({ alg, kid: env.KID }).sign(key) };
}

const fetched = { token: "", until: 0 };

/** A token that the server makes for a Basic credential; another one is fetched a minute before it ends. */
async function token() {
  if (performance.now() >= fetched.until) {
    const asked = performance.now();
    const { answer } = await call("POST", "/v1.0/tokens", undefined, basic);
    fetched.token = answer.access_token;
    fetched.until = asked + (answer.expires_in - 60) * 1000;
  }
  return { Authorization: "Bearer " + fetched.token };
}

const WAYS = { basic, hmac: signed, jwt, token };

/** The call was refused. */
class Refused extends Error {}

/** One request: the status, the headers and the body of its answer. */
async function ask(method, url, body, headers) {
  const response = await fetch(url, { method, body, headers, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT) });
  const text = await response.text();
  try {
    return { status: response.status, head: response.headers, answer: JSON.parse(text) };
  } catch (error) {
    if (response.ok) throw error; // cut on its way
    return { status: response.status, head: response.headers, answer: {} }; // not from Naru, but from something in front of it
  }
}

/**
 * One call: its answer, and the seconds that Naru asks to wait before the next one.
 *
 * It is made again for as long as that can help, and proved anew each time: a signature may be used once.
 */
async function call(method, path, content, way = WAYS[env.WAY]) {
  const body = content === undefined ? undefined : JSON.stringify(content);
  let failure;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const headers = await way(method, NARU + path, body);
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let wait = 2 ** attempt;
    try {
      const { status, head, answer } = await ask(method, NARU + path, body, headers);
      const asked = Number(head.get("Retry-After")) || 0;
      if (status < 300 || answer.results) return { answer, asked }; // of a batch each item says what became of it, whatever the status
      wait = asked || wait;
      failure = new Refused(`${status} ${answer.code}: ${answer.detail} (${head.get("Request-Id")})`);
      if (!PASSING.includes(status) || answer.code === "quota-exceeded" || wait > LONGEST_WAIT) throw failure;
    } catch (error) {
      if (error instanceof Refused) throw error;
      failure = error; // nobody knows whether it was heard: keys make it safe to call again
    }
    console.error(`${path}: ${failure.cause ?? failure}; again in ${wait} s`);
    await sleep(wait * 1000);
  }
  throw failure;
}

/** Whether to send a message again, under the same key. */
function mayPass({ result, problem }) {
  if (problem?.code === "quota-exceeded") return false;
  return result === "unknown" || PASSING.includes(problem?.status) || problem?.code === "key-in-flight";
}

/** Sends messages as one batch; what became of each, by its key. */
async function send(messages) {
  const results = new Map();
  let left = messages;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { answer, asked } = await call("POST", "/v1.0/messages/batch", { messages: left });
    for (const result of answer.results) results.set(left[result.index].key, result);
    left = left.filter(({ key }) => mayPass(results.get(key)));
    if (left.length === 0 || asked > LONGEST_WAIT) break;
    await sleep((asked || 2 ** attempt) * 1000);
  }
  return results;
}

/** Waits up to 20 s for reports, has them handled, then acknowledges them; how many. What is not acknowledged comes again. */
async function take(handle) {
  const { reports } = (await call("GET", "/v1.0/reports?limit=100&wait=20")).answer;
  for (const report of reports) await handle(report);
  if (reports.length > 0) {
    await call("POST", "/v1.0/reports/ack", { reports: reports.map(({ id, revision }) => ({ id, revision })) });
  }
  return reports.length;
}

async function main() {
  const { messages } = JSON.parse(readFileSync(process.argv[2], "utf8"));
  const waiting = new Map();
  for (let first = 0; first < messages.length; first += BATCH) {
    for (const [key, { result, id, problem }] of await send(messages.slice(first, first + BATCH))) {
      if (result === "accepted") waiting.set(id, key);
      console.log(key, result, id ?? problem.code);
    }
  }
  const handle = (report) => {
    // Write it to your database here: once it is acknowledged it does not come again.
    console.log(report.key, report.status, report.code, report.units, report.charged ? "charged" : "free");
    waiting.delete(report.id);
  };
  while (waiting.size > 0 && await take(handle) > 0);
  for (const key of waiting.values()) console.error(key, "has no report yet");
  return waiting.size > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`given up: ${error.message} ${error.cause ?? ""}`);
  process.exitCode = 1;
}
