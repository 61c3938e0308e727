<?php
// Sends the messages of a file to Naru in batches, and takes the reports of what became of them.
//
//     php naru.php messages.json
//
// Every message in the file has a key. The environment says where to call, and as whom: see docs/integrate.md. Needs PHP 8.1 or newer
// with its extension openssl.

declare(strict_types=1);

define('NARU', rtrim(env('NARU'), '/')); // https://naru.example/sandbox, and without /sandbox to send for real
const BATCH = 100; // messages of a call: up to 1,000, and no more than the burst of your rates
const TIMEOUT = 30; // seconds without a byte: longer than the longest poll
const ATTEMPTS = 6; // of a call, and of a message
const LONGEST_WAIT = 60; // seconds; told to wait longer, it gives up and tells its caller
const PASSING = [408, 429, 502, 503, 504]; // statuses after which the same call may succeed

/** Id, password and API key in every call (RFC 7617). */
function basic(string $method, string $url, string $body): array
{
    return ['Authorization: Basic ' . base64_encode(env('CREDENTIAL'))]; // ID:PW:API_KEY
}

/** A signature over every call (RFC 9421), and over the digest of its body (RFC 9530). */
function signed(string $method, string $url, string $body): array
{
    $part = parse_url($url);
    $authority = strtolower($part['host']) . (isset($part['port']) ? ':' . $part['port'] : '');
    $covered = '"@method" "@authority" "@path" "@query"';
    $base = "\"@method\": $method\n\"@authority\": $authority\n\"@path\": {$part['path']}\n\"@query\": ?" . ($part['query'] ?? '');
    $headers = [];
    if ($body !== '') {
        $digest = 'sha-256=:' . base64_encode(hash('sha256', $body, true)) . ':';
        $headers[] = "Content-Digest: $digest";
        $covered .= ' "content-digest"';
        $base .= "\n\"content-digest\": $digest";
    }
    $params = "($covered);created=" . time() . ';nonce="' . bin2hex(random_bytes(16)) . '";keyid="' . env('KEY_ID') . '"';
    $base .= "\n\"@signature-params\": $params";
    $signature = hash_hmac('sha256', $base, base64_decode(env('SECRET')), true);
    return [...$headers, "Signature-Input: sig1=$params", 'Signature: sig1=:' . base64_encode($signature) . ':'];
}

function base64url(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

/** A token that you sign (RFC 7519), made for every call: it costs nothing, and never runs out. */
function jwt(string $method, string $url, string $body): array
{
    [$alg, $now] = [env('ALG'), time()];
    $text = base64url(json_encode(['alg' => $alg, 'kid' => env('KID')])) . '.'
        . base64url(json_encode(['iss' => env('KEY_ID'), 'aud' => 'naru', 'iat' => $now, 'exp' => $now + 300]));
    if ($alg === 'HS256') {
        $signature = hash_hmac('sha256', $text, base64_decode(strtr(env('SECRET'), '-_', '+/')), true);
    } elseif ($alg !== 'RS256') {
        throw new InvalidArgumentException('ALG is HS256 or RS256');
    } elseif (!openssl_sign($text, $signature, file_get_contents(env('KEY_FILE')), OPENSSL_ALGO_SHA256)) { // a private key in PEM
        throw new RuntimeException('cannot sign: ' . openssl_error_string());
    }
    return ["Authorization: Bearer $text." . base64url($signature)];
}

/** A token that the server makes for a Basic credential; another one is fetched a minute before it ends. */
function token(string $method, string $url, string $body): array
{
    static $token = '', $until = 0;
    if (hrtime(true) / 1e9 >= $until) {
        $asked = hrtime(true) / 1e9;
        [$answer] = call('POST', '/v1.0/tokens', null, 'basic');
        [$token, $until] = [$answer['access_token'], $asked + $answer['expires_in'] - 60];
    }
    return ["Authorization: Bearer $token"];
}

const WAYS = ['basic' => 'basic', 'hmac' => 'signed', 'jwt' => 'jwt', 'token' => 'token'];

/** The call was refused, or never answered. */
class GivenUp extends RuntimeException
{
}

/** One request: the status, the seconds of Retry-After, and the body of its answer; null if there is no whole answer. */
function ask(string $method, string $url, string $body, array $headers): ?array
{
    $options = ['method' => $method, 'header' => $headers, 'timeout' => TIMEOUT, 'ignore_errors' => true, 'follow_location' => 0, 'protocol_version' => 1.1];
    if ($method !== 'GET') {
        $options['content'] = $body;
    }
    $text = @file_get_contents($url, false, stream_context_create(['http' => $options]));
    if ($text === false || !preg_match('{^HTTP/1\.\d (\d{3})}', $http_response_header[0] ?? '', $status)) {
        return null;
    }
    $status = (int) $status[1];
    $answer = json_decode($text, true);
    if (!is_array($answer)) {
        if ($status < 300) {
            return null; // cut on its way
        }
        $answer = []; // not from Naru, but from something in front of it
    }
    $after = preg_filter('{^retry-after:\s*(\d{1,9})\s*$}i', '$1', $http_response_header);
    return [$status, (int) (array_values($after)[0] ?? 0), $answer];
}

/**
 * One call: its answer, and the seconds that Naru asks to wait before the next one.
 *
 * It is made again for as long as that can help, and proved anew each time: a signature may be used once.
 */
function call(string $method, string $path, ?array $content = null, ?string $way = null): array
{
    $way ??= WAYS[env('WAY')];
    $body = $content === null ? '' : json_encode($content, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR);
    for ($attempt = 0; $attempt < ATTEMPTS; $attempt++) {
        $headers = $way($method, NARU . $path, $body);
        if ($content !== null) {
            $headers[] = 'Content-Type: application/json';
        }
        $wait = 2 ** $attempt;
        $came = ask($method, NARU . $path, $body, $headers);
        $failure = 'no answer'; // nobody knows whether it was heard: keys make it safe to call again
        if ($came !== null) {
            [$status, $asked, $answer] = $came;
            if ($status < 300 || isset($answer['results'])) { // of a batch each item says what became of it, whatever the status
                return [$answer, $asked];
            }
            $code = $answer['code'] ?? '';
            $wait = $asked ?: $wait;
            $failure = "$status $code: " . ($answer['detail'] ?? '') . ' (' . ($answer['instance'] ?? '') . ')';
            if (!in_array($status, PASSING, true) || $code === 'quota-exceeded' || $wait > LONGEST_WAIT) {
                break;
            }
        }
        fwrite(STDERR, "$path: $failure; again in $wait s\n");
        sleep($wait);
    }
    throw new GivenUp($failure);
}

/** Whether to send a message again, under the same key. */
function may_pass(array $result): bool
{
    [$code, $status] = [$result['problem']['code'] ?? '', $result['problem']['status'] ?? 0];
    return $code !== 'quota-exceeded' && ($result['result'] === 'unknown' || in_array($status, PASSING, true) || $code === 'key-in-flight');
}

/** Sends messages as one batch; what became of each, by its key. */
function send(array $messages): array
{
    [$results, $left] = [[], $messages];
    for ($attempt = 0; $attempt < ATTEMPTS; $attempt++) {
        [$answer, $asked] = call('POST', '/v1.0/messages/batch', ['messages' => $left]);
        foreach ($answer['results'] as $result) {
            $results[$left[$result['index']]->key] = $result;
        }
        $left = array_values(array_filter($left, fn ($message) => may_pass($results[$message->key])));
        if ($left === [] || $asked > LONGEST_WAIT) {
            break;
        }
        sleep($asked ?: 2 ** $attempt);
    }
    return $results;
}

/** Waits up to 20 s for reports, has them handled, then acknowledges them; how many. What is not acknowledged comes again. */
function take(callable $handle): int
{
    [$page] = call('GET', '/v1.0/reports?limit=100&wait=20');
    foreach ($page['reports'] as $report) {
        $handle($report);
    }
    $read = array_map(fn ($report) => ['id' => $report['id'], 'revision' => $report['revision']], $page['reports']);
    if ($read !== []) {
        call('POST', '/v1.0/reports/ack', ['reports' => $read]);
    }
    return count($read);
}

function main(string $file): int
{
    $waiting = [];
    $messages = json_decode(file_get_contents($file), false, 32, JSON_THROW_ON_ERROR)->messages; // objects: {} stays {}
    foreach (array_chunk($messages, BATCH) as $batch) {
        foreach (send($batch) as $key => $result) {
            if ($result['result'] === 'accepted') {
                $waiting[$result['id']] = $key;
            }
            echo "$key {$result['result']} ", $result['id'] ?? $result['problem']['code'], "\n";
        }
    }
    $handle = function (array $report) use (&$waiting): void {
        // Write it to your database here: once it is acknowledged it does not come again.
        echo "{$report['key']} {$report['status']} {$report['code']} {$report['units']} ", $report['charged'] ? 'charged' : 'free', "\n";
        unset($waiting[$report['id']]);
    };
    while ($waiting !== [] && take($handle) > 0);
    foreach ($waiting as $key) {
        fwrite(STDERR, "$key has no report yet\n");
    }
    return $waiting === [] ? 0 : 1;
}

function env(string $name): string
{
    $value = getenv($name);
    return $value !== false ? $value : throw new InvalidArgumentException("the environment has no $name");
}

try {
    exit(main($argv[1]));
} catch (GivenUp $error) {
    fwrite(STDERR, "given up: {$error->getMessage()}\n");
    exit(1);
}
