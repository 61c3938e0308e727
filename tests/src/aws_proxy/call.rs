//! What a request asks, of what.

use serde_json::Value;

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Queues.
    Sqs,
    /// Topics.
    Sns,
    /// Objects.
    S3,
    /// Anything else.
    Other,
}

/// One kind of call to one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The service.
    pub service: Service,
    /// As IAM names it, without the service; of S3 the REST call's own name (`PutObject`).
    pub action: String,
    /// The queue's or topic's name; the bucket; empty where there is none.
    pub resource: String,
}

impl Call {
    /// Reads what a request asks. `header` gives a header's value by its lower-case name.
    pub(super) fn read<'a>(
        method: &str,
        target: &str,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
    ) -> Self {
        if let Some(action) = header("x-amz-target").and_then(|value| value.strip_prefix("AmazonSQS.")) {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let resource = ["QueueUrl", "QueueName"].iter().find_map(|field| body[field].as_str());
            return Self::of(Service::Sqs, action, resource.map_or("", last));
        }
        let is_form = header("content-type").is_some_and(|kind| kind.contains("x-www-form-urlencoded"));
        if method == "POST" && is_form {
            let fields = form(body);
            let field = |name: &str| {
                fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
            };
            let service = if field("Version").starts_with("2010") { Service::Sns } else { Service::Other };
            let resource = ["TopicArn", "SubscriptionArn", "Name", "ResourceArn"].map(field);
            let resource = resource.iter().find(|value| !value.is_empty()).map_or("", |value| last(value));
            return Self::of(service, field("Action"), resource);
        }
        Self::of_s3(method, target)
    }

    fn of(service: Service, action: &str, resource: &str) -> Self {
        Self { service, action: action.to_owned(), resource: resource.to_owned() }
    }

    fn of_s3(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (bucket, key) =
            path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        let sub = query.split(['=', '&']).next().unwrap_or("");
        let action = match (method, key.is_empty(), sub) {
            (
                _,
                true,
                "lifecycle" | "publicAccessBlock" | "encryption" | "location" | "policy" | "versioning",
            ) => {
                format!("{}Bucket{}{}", verb(method), sub[..1].to_uppercase(), &sub[1..])
            }
            ("GET", true, _) if bucket.is_empty() => "ListBuckets".to_owned(),
            ("GET", true, _) => "ListObjects".to_owned(),
            (_, true, _) => format!("{}Bucket", verb(method)),
            _ => format!("{}Object", verb(method)),
        };
        Self::of(Service::S3, &action, bucket)
    }
}

fn verb(method: &str) -> &'static str {
    match method {
        "GET" => "Get",
        "HEAD" => "Head",
        "PUT" => "Put",
        "DELETE" => "Delete",
        _ => "Post",
    }
}

/// The name at the end of a URL or ARN.
fn last(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

/// The fields of a form.
pub(super) fn form(body: &[u8]) -> Vec<(String, String)> {
    String::from_utf8_lossy(body)
        .split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(key, value)| (decoded(key), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let text = std::str::from_utf8(&digits).unwrap_or("00");
                out.push(u8::from_str_radix(text, 16).unwrap_or(0));
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_named_by_what_they_ask_of_whom() {
        let read = |method: &str, target: &str, headers: &[(&'static str, &'static str)], body: &str| {
            let header =
                |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            let call = Call::read(method, target, header, body.as_bytes());
            (call.service, call.action, call.resource)
        };
        let told = |service, action: &str, resource: &str| (service, action.to_owned(), resource.to_owned());
        let sqs = [("x-amz-target", "AmazonSQS.ReceiveMessage")];
        let body = r#"{"QueueUrl":"http://127.0.0.1:1/000000000000/naru-main-packs-a-bulk"}"#;
        assert_eq!(
            read("POST", "/", &sqs, body),
            told(Service::Sqs, "ReceiveMessage", "naru-main-packs-a-bulk")
        );
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body =
            "Action=PublishBatch&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Ar%3A1%3Anaru-main-events";
        assert_eq!(read("POST", "/", &form, body), told(Service::Sns, "PublishBatch", "naru-main-events"));
        assert_eq!(
            read("PUT", "/bucket/a/b?x-id=PutObject", &[], ""),
            told(Service::S3, "PutObject", "bucket")
        );
        assert_eq!(
            read("GET", "/bucket?lifecycle", &[], ""),
            told(Service::S3, "GetBucketLifecycle", "bucket")
        );
        assert_eq!(read("HEAD", "/bucket", &[], ""), told(Service::S3, "HeadBucket", "bucket"));
    }
}
