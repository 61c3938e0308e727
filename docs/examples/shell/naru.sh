#!/usr/bin/env bash
# Sends the messages of a file to Naru in batches, and takes the reports of what became of them.
#
#     bash naru.sh messages.json
#
# Every message in the file has a key. The environment says where to call, and as whom: see docs/integrate.md. Needs bash 4,
# curl, openssl and jq.
set -euo pipefail

NARU=${NARU%/}          # https://naru.example/sandbox, and without /sandbox to send for real
BATCH=100               # messages of a call: up to 1,000, and no more than the burst of your rates
TIMEOUT=30              # seconds, for a whole call: longer than the longest poll
ATTEMPTS=6              # of a call, and of a message
LONGEST_WAIT=60         # seconds; told to wait longer, it gives up and tells its caller
PASSING=408,429,502,503,504 # statuses after which the same call may succeed

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Each way in: METHOD URL BODY, where BODY is a file or empty; prints the headers that prove the call.

# Id, password and API key in every call (RFC 7617).
basic() {
    printf 'Authorization: Basic %s\n' "$(printf %s "$CREDENTIAL" | openssl base64 -A)" # ID:PW:API_KEY
}

# A signature over every call (RFC 9421), and over the digest of its body (RFC 9530).
signed() {
    local rest=${2#*://} covered='"@method" "@authority" "@path" "@query"' digest='' params key
    local authority=${rest%%/*} target=/${rest#*/}
    local base="\"@method\": $1"$'\n'"\"@authority\": ${authority,,}"$'\n'"\"@path\": ${target%%\?*}"$'\n''"@query": ?'
    case $target in *\?*) base+=${target#*\?} ;; esac
    if [ -n "$3" ]; then
        digest="sha-256=:$(openssl dgst -sha256 -binary "$3" | openssl base64 -A):"
        covered+=' "content-digest"' base+=$'\n'"\"content-digest\": $digest"
        printf 'Content-Digest: %s\n' "$digest"
    fi
    params="($covered);created=$(date +%s);nonce=\"$(openssl rand -hex 16)\";keyid=\"$KEY_ID\""
    base+=$'\n'"\"@signature-params\": $params"
    key=$(printf %s "$SECRET" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
    printf 'Signature-Input: sig1=%s\n' "$params"
    printf 'Signature: sig1=:%s:\n' "$(printf %s "$base" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)"
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d =; }

# A token that you sign (RFC 7519), made for every call: it costs nothing, and never runs out.
jwt() {
    local now text key
    now=$(date +%s)
    text=$(printf '{"alg":"%s","kid":"%s"}' "$ALG" "$KID" | base64url)
    text+=.$(printf '{"iss":"%s","aud":"naru","iat":%d,"exp":%d}' "$KEY_ID" "$now" $((now + 300)) | base64url)
    case $ALG in
    HS256)
        key=$(printf %s "$SECRET=" | tr '_-' '/+' | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
        set -- -mac HMAC -macopt "hexkey:$key"
        ;;
    RS256) set -- -sign "$KEY_FILE" ;; # a private key in PEM
    *) echo "ALG is HS256 or RS256" >&2 && return 1 ;;
    esac
    printf 'Authorization: Bearer %s.%s\n' "$text" "$(printf %s "$text" | openssl dgst -sha256 "$@" -binary | base64url)"
}

# A token that the server makes for a Basic credential; another one is fetched a minute before it ends.
token() {
    local until=0 asked
    [ ! -e "$work/token" ] || read -r until <"$work/until"
    asked=$(date +%s)
    if [ "$asked" -ge "$until" ]; then
        call POST /v1.0/tokens '' basic
        jq -r .access_token "$work/answer" >"$work/token"
        jq --argjson asked "$asked" '$asked + .expires_in - 60' "$work/answer" >"$work/until"
    fi
    printf 'Authorization: Bearer %s\n' "$(cat "$work/token")"
}

# call METHOD PATH BODY [WAY]: one call; its answer is in $work/answer, the seconds that Naru asks to wait before the next in $work/asked.
# It is made again for as long as that can help, and proved anew each time: a signature may be used once.
call() {
    local method=$1 path=$2 body=$3 way=${4-$WAY} attempt wait asked status headers options code failure
    [ "$way" != hmac ] || way=signed
    for ((attempt = 0; attempt < ATTEMPTS; attempt++)); do
        headers=$("$way" "$method" "$NARU$path" "$body")
        options=(-sS -X "$method" -H @- --max-time "$TIMEOUT" -D "$work/head" -o "$work/answer" -w '%{http_code}')
        [ -z "$body" ] || options+=(-H 'Content-Type: application/json' --data-binary "@$body")
        : >"$work/head" >"$work/answer"
        wait=$((1 << attempt)) failure='no answer' # nobody knows whether it was heard: keys make it safe to call again
        if status=$(printf '%s\n' "$headers" | curl "${options[@]}" "$NARU$path"); then
            asked=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\).*/\1/p' "$work/head")
            echo "${asked:-0}" >"$work/asked"
            # Of a batch each item says what became of it, whatever the status.
            if [ "$status" -lt 300 ] || [ "$(jq 'has("results")' "$work/answer" 2>&1)" = true ]; then return; fi
            wait=${asked:-$wait} code=$(jq -r .code "$work/answer" 2>&1 || true)
            failure="$status $(jq -r '"\(.code): \(.detail) (\(.instance))"' "$work/answer" 2>&1 || true)"
            case ,$PASSING, in
            *",$status,"*) [ "$code" != quota-exceeded ] && [ "$wait" -le "$LONGEST_WAIT" ] || break ;;
            *) break ;;
            esac
        fi
        echo "$path: $failure; again in $wait s" >&2
        sleep "$wait"
    done
    echo "given up: $failure" >&2
    exit 1
}

# Whether to send a message again, under the same key.
may_pass="def may_pass: .problem as \$p | \$p.code != \"quota-exceeded\" and
    (.result == \"unknown\" or \$p.code == \"key-in-flight\" or any($PASSING; . == \$p.status));"

# send: sends the messages in $work/left as one batch; prints what became of each, as a line of JSON with its key.
send() {
    local attempt asked
    : >"$work/all"
    for ((attempt = 0; attempt < ATTEMPTS; attempt++)); do
        call POST /v1.0/messages/batch "$work/left"
        jq -c --slurpfile left "$work/left" '.results[] | .key = $left[0].messages[.index].key' "$work/answer" >>"$work/all"
        jq -s 'map({key, value: .}) | from_entries' "$work/all" >"$work/by-key"
        jq --slurpfile by "$work/by-key" "$may_pass"'.messages |= map(select($by[0][.key] | may_pass))' "$work/left" >"$work/next"
        mv "$work/next" "$work/left"
        asked=$(cat "$work/asked")
        if jq -e '.messages == []' "$work/left" >"$work/none" || [ "$asked" -gt "$LONGEST_WAIT" ]; then break; fi
        [ "$asked" -gt 0 ] || asked=$((1 << attempt))
        sleep "$asked"
    done
    jq -c '.[]' "$work/by-key"
}

# take: waits up to 20 s for reports, handles them, then acknowledges them; false if there was none. What is not acknowledged comes again.
take() {
    local id line
    call GET '/v1.0/reports?limit=100&wait=20' ''
    jq -c '{reports: [.reports[] | {id, revision}]}' "$work/answer" >"$work/read"
    jq -r '.reports[] | "\(.id) \(.key) \(.status) \(.code) \(.units) \(if .charged then "charged" else "free" end)"' "$work/answer" >"$work/page"
    [ -s "$work/page" ] || return 1
    while read -r id line; do
        # Write it to your database here: once it is acknowledged it does not come again.
        echo "$line"
        unset "waiting[$id]"
    done <"$work/page"
    call POST /v1.0/reports/ack "$work/read"
}

declare -A waiting=()
: >"$work/sent"
jq -c --argjson size "$BATCH" '.messages | range(0; length; $size) as $at | {messages: .[$at:$at + $size]}' "$1" >"$work/batches"
while read -r batch; do
    printf '%s\n' "$batch" >"$work/left"
    send >>"$work/sent"
done <"$work/batches"
while read -r what result key; do
    echo "$key $result $what"
    [ "$result" != accepted ] || waiting[$what]=$key
done < <(jq -r '"\(.id // .problem.code) \(.result) \(.key)"' "$work/sent")
while [ ${#waiting[@]} -gt 0 ]; do take || break; done
[ ${#waiting[@]} -eq 0 ] || printf '%s has no report yet\n' "${waiting[@]}" >&2
[ ${#waiting[@]} -eq 0 ]
