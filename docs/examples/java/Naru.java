import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Sends the messages of a file to Naru in batches, and takes the reports of what became of them.
 *
 * <pre>java -cp gson.jar Naru.java messages.json</pre>
 *
 * Every message in the file has a key. The environment says where to call, and as whom: see docs/integrate.md. Needs Java 17 or newer,
 * and Gson to read JSON.
 */
public class Naru {
    static final String NARU = env("NARU").replaceAll("/+$", ""); // https://naru.example/sandbox, and without /sandbox to send for real
    static final int BATCH = 100; // messages of a call: up to 1,000, and no more than the burst of your rates
    static final Duration TIMEOUT = Duration.ofSeconds(30); // for a whole call: longer than the longest poll
    static final int ATTEMPTS = 6; // of a call, and of a message
    static final long LONGEST_WAIT = 60; // seconds; told to wait longer, it gives up and tells its caller
    static final Set<Integer> PASSING = Set.of(408, 429, 502, 503, 504); // statuses after which the same call may succeed

    // HTTP/2 is not spoken: without this the client would ask for it in every call.
    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();

    /** A way in: the headers that prove a call. */
    interface Way {
        Map<String, String> headers(String method, URI url, byte[] body) throws Exception;
    }

    /** Id, password and API key in every call (RFC 7617). */
    static Map<String, String> basic(String method, URI url, byte[] body) {
        byte[] credential = utf8(env("CREDENTIAL")); // ID:PW:API_KEY
        return Map.of("Authorization", "Basic " + Base64.getEncoder().encodeToString(credential));
    }

    /** A signature over every call (RFC 9421), and over the digest of its body (RFC 9530). */
    static Map<String, String> signed(String method, URI url, byte[] body) throws GeneralSecurityException {
        Map<String, String> headers = new LinkedHashMap<>();
        String query = url.getRawQuery() == null ? "" : url.getRawQuery();
        String covered = "\"@method\" \"@authority\" \"@path\" \"@query\"";
        String base = "\"@method\": " + method + "\n\"@authority\": " + url.getAuthority().toLowerCase()
            + "\n\"@path\": " + url.getRawPath() + "\n\"@query\": ?" + query;
        if (body.length > 0) {
            String digest = "sha-256=:" + Base64.getEncoder().encodeToString(MessageDigest.getInstance("SHA-256").digest(body)) + ":";
            headers.put("Content-Digest", digest);
            covered += " \"content-digest\"";
            base += "\n\"content-digest\": " + digest;
        }
        byte[] nonce = new byte[16];
        new SecureRandom().nextBytes(nonce);
        String params = "(" + covered + ");created=" + Instant.now().getEpochSecond()
            + ";nonce=\"" + HexFormat.of().formatHex(nonce) + "\";keyid=\"" + env("KEY_ID") + "\"";
        base += "\n\"@signature-params\": " + params;
        byte[] mac = hmac(Base64.getDecoder().decode(env("SECRET")), utf8(base));
        headers.put("Signature-Input", "sig1=" + params);
        headers.put("Signature", "sig1=:" + Base64.getEncoder().encodeToString(mac) + ":");
        return headers;
    }

    static byte[] hmac(byte[] secret, byte[] text) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret, "HmacSHA256"));
        return mac.doFinal(text);
    }

    /** A token that you sign (RFC 7519), made for every call: it costs nothing, and never runs out. */
    static Map<String, String> jwt(String method, URI url, byte[] body) throws GeneralSecurityException, IOException {
        Base64.Encoder base64url = Base64.getUrlEncoder().withoutPadding();
        long now = Instant.now().getEpochSecond();
        String alg = env("ALG");
        String header = "{\"alg\":\"%s\",\"kid\":\"%s\"}".formatted(alg, env("KID"));
        String claims = "{\"iss\":\"%s\",\"aud\":\"naru\",\"iat\":%d,\"exp\":%d}".formatted(env("KEY_ID"), now, now + 300);
        String text = base64url.encodeToString(utf8(header)) + "." + base64url.encodeToString(utf8(claims));
        byte[] signature = switch (alg) {
            case "HS256" -> hmac(Base64.getUrlDecoder().decode(env("SECRET")), utf8(text));
            case "RS256" -> sign("RSA", "SHA256withRSA", utf8(text));
            case "ES256" -> sign("EC", "SHA256withECDSAinP1363Format", utf8(text)); // not the DER of SHA256withECDSA
            case "EdDSA" -> sign("Ed25519", "Ed25519", utf8(text));
            default -> throw new IllegalArgumentException("ALG is HS256, RS256, ES256 or EdDSA");
        };
        return Map.of("Authorization", "Bearer " + text + "." + base64url.encodeToString(signature));
    }

    /** With a private key in PEM, as openssl genpkey writes it. */
    static byte[] sign(String keys, String algorithm, byte[] text) throws GeneralSecurityException, IOException {
        String pem = Files.readString(Path.of(env("KEY_FILE"))).replaceAll("-----[A-Z ]+-----", "");
        Signature signature = Signature.getInstance(algorithm);
        signature.initSign(KeyFactory.getInstance(keys).generatePrivate(new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(pem))));
        signature.update(text);
        return signature.sign();
    }

    static String fetched = "";
    static long until = System.nanoTime();

    /** A token that the server makes for a Basic credential; another one is fetched a minute before it ends. */
    static Map<String, String> token(String method, URI url, byte[] body) throws Exception {
        if (System.nanoTime() - until >= 0) {
            long asked = System.nanoTime();
            JsonObject answer = call("POST", "/v1.0/tokens", null, Naru::basic).body();
            fetched = answer.get("access_token").getAsString();
            until = asked + Duration.ofSeconds(answer.get("expires_in").getAsLong() - 60).toNanos();
        }
        return Map.of("Authorization", "Bearer " + fetched);
    }

    static final Map<String, Way> WAYS = Map.of("basic", Naru::basic, "hmac", Naru::signed, "jwt", Naru::jwt, "token", Naru::token);

    /** An answer, and the seconds that Naru asks to wait before the next call. */
    record Answer(JsonObject body, long asked) {}

    /** The call was refused. */
    static class Refused extends Exception {
        Refused(String message) {
            super(message);
        }
    }

    static Answer call(String method, String path, JsonObject content) throws Exception {
        return call(method, path, content, WAYS.get(env("WAY")));
    }

    /** One call. It is made again for as long as that can help, and proved anew each time: a signature may be used once. */
    static Answer call(String method, String path, JsonObject content, Way way) throws Exception {
        URI url = URI.create(NARU + path);
        byte[] body = content == null ? new byte[0] : utf8(new Gson().toJson(content));
        Exception failure = null;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            long wait = 1L << attempt;
            HttpRequest.Builder request = HttpRequest.newBuilder(url).timeout(TIMEOUT)
                .method(method, method.equals("GET") ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body));
            way.headers(method, url, body).forEach(request::header);
            if (content != null) request.header("Content-Type", "application/json");
            try {
                HttpResponse<String> response = CLIENT.send(request.build(), BodyHandlers.ofString());
                int status = response.statusCode();
                JsonObject answer = parsed(status, response.body());
                long asked = response.headers().firstValue("Retry-After").filter(text -> text.matches("\\d{1,9}")).map(Long::parseLong).orElse(0L);
                // Of a batch each item says what became of it, whatever the status.
                if (status < 300 || answer.has("results")) return new Answer(answer, asked);
                wait = asked > 0 ? asked : wait;
                String code = text(answer, "code");
                failure = new Refused(status + " " + code + ": " + text(answer, "detail") + " (" + text(answer, "instance") + ")");
                if (!PASSING.contains(status) || code.equals("quota-exceeded") || wait > LONGEST_WAIT) throw failure;
            } catch (IOException | JsonParseException | IllegalStateException error) {
                failure = error; // nobody knows whether it was heard: keys make it safe to call again
            }
            System.err.println(path + ": " + failure + "; again in " + wait + " s");
            Thread.sleep(wait * 1000);
        }
        throw failure;
    }

    static JsonObject parsed(int status, String text) {
        try {
            return JsonParser.parseString(text).getAsJsonObject();
        } catch (JsonParseException | IllegalStateException error) {
            if (status < 300) throw error; // cut on its way
            return new JsonObject(); // not from Naru, but from something in front of it
        }
    }

    /** Whether to send a message again, under the same key. */
    static boolean mayPass(JsonObject result) {
        if (result.get("result").getAsString().equals("accepted")) return false;
        JsonObject problem = result.getAsJsonObject("problem");
        String code = text(problem, "code");
        if (code.equals("quota-exceeded")) return false;
        return result.get("result").getAsString().equals("unknown") || PASSING.contains(problem.get("status").getAsInt()) || code.equals("key-in-flight");
    }

    /** Sends messages as one batch; what became of each, by its key. */
    static Map<String, JsonObject> send(JsonArray messages) throws Exception {
        Map<String, JsonObject> results = new LinkedHashMap<>();
        JsonArray left = messages;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            JsonObject batch = new JsonObject();
            batch.add("messages", left);
            Answer answer = call("POST", "/v1.0/messages/batch", batch);
            JsonArray again = new JsonArray();
            for (JsonElement each : answer.body().getAsJsonArray("results")) {
                JsonObject result = each.getAsJsonObject();
                JsonElement message = left.get(result.get("index").getAsInt());
                results.put(text(message.getAsJsonObject(), "key"), result);
                if (mayPass(result)) again.add(message);
            }
            left = again;
            if (left.isEmpty() || answer.asked() > LONGEST_WAIT) break;
            Thread.sleep(1000 * (answer.asked() > 0 ? answer.asked() : 1L << attempt));
        }
        return results;
    }

    /** Waits up to 20 s for reports, has them handled, then acknowledges them; how many. What is not acknowledged comes again. */
    static int take(Consumer<JsonObject> handle) throws Exception {
        JsonArray reports = call("GET", "/v1.0/reports?limit=100&wait=20", null).body().getAsJsonArray("reports");
        JsonArray read = new JsonArray();
        for (JsonElement each : reports) {
            JsonObject report = each.getAsJsonObject(), name = new JsonObject();
            handle.accept(report);
            name.add("id", report.get("id"));
            name.add("revision", report.get("revision"));
            read.add(name);
        }
        JsonObject done = new JsonObject();
        done.add("reports", read);
        if (!read.isEmpty()) call("POST", "/v1.0/reports/ack", done);
        return read.size();
    }

    public static void main(String[] arguments) throws Exception {
        try {
            System.exit(run(Path.of(arguments[0])));
        } catch (Refused | IOException error) {
            System.err.println("given up: " + error);
            System.exit(1);
        }
    }

    static int run(Path file) throws Exception {
        JsonArray messages = JsonParser.parseString(Files.readString(file)).getAsJsonObject().getAsJsonArray("messages");
        Map<String, String> waiting = new LinkedHashMap<>();
        for (int first = 0; first < messages.size(); first += BATCH) {
            JsonArray batch = new JsonArray();
            for (int at = first; at < Math.min(first + BATCH, messages.size()); at++) batch.add(messages.get(at));
            send(batch).forEach((key, result) -> {
                boolean accepted = result.has("id");
                if (accepted) waiting.put(text(result, "id"), key);
                String what = accepted ? text(result, "id") : text(result.getAsJsonObject("problem"), "code");
                System.out.println(key + " " + text(result, "result") + " " + what);
            });
        }
        Consumer<JsonObject> handle = report -> {
            // Write it to your database here: once it is acknowledged it does not come again.
            String charged = report.get("charged").getAsBoolean() ? "charged" : "free";
            System.out.println(text(report, "key") + " " + text(report, "status") + " " + text(report, "code") + " " + text(report, "units") + " " + charged);
            waiting.remove(text(report, "id"));
        };
        while (!waiting.isEmpty() && take(handle) > 0) {}
        waiting.values().forEach(key -> System.err.println(key + " has no report yet"));
        return waiting.isEmpty() ? 0 : 1;
    }

    static String text(JsonObject of, String name) {
        return of.has(name) && !of.get(name).isJsonNull() ? of.get(name).getAsString() : "";
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String env(String name) {
        String value = System.getenv(name);
        if (value == null) throw new IllegalStateException("the environment has no " + name);
        return value;
    }
}
