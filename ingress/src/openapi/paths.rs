//! Operations as OpenAPI writes them.

use std::collections::BTreeMap;

use naru_shared::blobs::{LARGEST, MediaType};
use serde_json::{Map, Value, json};

use super::{
    examples,
    operations::{Body, Callers, Good, Operation},
};
use crate::problem::Code;

/// Every path with its methods.
pub fn all() -> Value {
    let mut paths = Map::new();
    for operation in super::operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if operation.callers != Callers::Customer {
            // These are of no version of the API.
            path["servers"] = json!([{ "url": "/", "description": "This gateway." }]);
        }
        path[operation.method] = written(operation);
    }
    Value::Object(paths)
}

fn written(operation: Operation) -> Value {
    let parameters = operation.parameters.iter();
    let parameters: Vec<Value> =
        parameters.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })).collect();
    let mut written = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "responses": answers(operation),
    });
    if !parameters.is_empty() {
        written["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        let required = !matches!(body, Body::Maybe(_));
        written["requestBody"] = json!({ "required": required, "content": content(operation, body) });
    }
    match operation.callers {
        Callers::Customer => {}
        Callers::Provider => written["security"] = json!([{ "provider": [] }, { "providerSignature": [] }]),
        Callers::Anybody => written["security"] = json!([]),
    }
    written
}

fn content(operation: Operation, body: Body) -> Value {
    let file =
        json!({ "schema": { "type": "string", "format": "binary", "minLength": 1, "maxLength": LARGEST } });
    match body {
        Body::Json(schema) | Body::Maybe(schema) => {
            let mut media = json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } });
            if let Some(example) = examples::request(operation.id) {
                media["example"] = example.clone();
            }
            json!({ "application/json": media })
        }
        Body::File => {
            let kinds = MediaType::ATTACHMENTS.iter();
            kinds.map(|kind| (kind.as_str().to_owned(), file.clone())).collect::<Map<_, _>>().into()
        }
        Body::Told => json!({
            "application/json": {
                "schema": { "$ref": "#/components/schemas/Told" },
                "example": { "id": examples::MESSAGE_ID, "status": "delivered" },
            },
            "application/x-www-form-urlencoded": { "schema": { "$ref": "#/components/schemas/ToldForm" } },
        }),
    }
}

/// Every status with what it may hold.
fn answers(operation: Operation) -> Value {
    let mut statuses: BTreeMap<u16, (Vec<Good>, Vec<Code>)> = BTreeMap::new();
    for good in operation.good {
        statuses.entry(good.status).or_default().0.push(*good);
    }
    for code in operation.codes() {
        let (_, codes) = statuses.entry(code.status().as_u16()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let answer = |(status, (good, codes)): (u16, (Vec<Good>, Vec<Code>))| {
        (status.to_string(), answer(operation, status, &good, &codes))
    };
    statuses.into_iter().map(answer).collect::<Map<_, _>>().into()
}

fn answer(operation: Operation, status: u16, good: &[Good], codes: &[Code]) -> Value {
    let mut sentences: Vec<String> = good.iter().map(|good| good.what.to_owned()).collect();
    let mut content = Map::new();
    for (media, schema) in good.iter().filter_map(|good| good.content) {
        content.insert(media.to_owned(), media_type(operation, status, media, schema));
    }
    if !codes.is_empty() {
        let said = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title()));
        sentences.extend(said);
        content.insert("application/problem+json".to_owned(), problem(codes));
    }
    let own = good.iter().flat_map(|good| good.headers.iter().copied());
    let mut names: Vec<&str> = vec!["Request-Id"];
    names.extend(own);
    if operation.callers == Callers::Customer && status != 401 {
        names.extend(["RateLimit-Policy", "RateLimit"]);
    }
    match status {
        401 => names.push("WWW-Authenticate"),
        409 | 429 | 503 => names.push("Retry-After"),
        _ => {}
    }
    let headers = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
    let mut answer =
        json!({ "description": sentences.join("\n\n"), "headers": headers.collect::<Map<_, _>>() });
    if !content.is_empty() {
        answer["content"] = content.into();
    }
    answer
}

fn media_type(operation: Operation, status: u16, media: &str, schema: &str) -> Value {
    if media == "text/html" {
        return json!({ "schema": { "type": "string" } });
    }
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let schema = match schema.split_once('|') {
        Some((one, other)) => json!({ "anyOf": [reference(one), reference(other)] }),
        None => reference(schema),
    };
    let mut written = json!({ "schema": schema });
    if let Some(example) = examples::answer(operation.id, status) {
        written["example"] = example.clone();
    }
    written
}

/// A problem with one of these codes.
fn problem(codes: &[Code]) -> Value {
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let examples = words
        .iter()
        .map(|word| ((*word).to_owned(), json!({ "$ref": format!("#/components/examples/{word}") })));
    json!({
        "schema": {
            "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "type": "object", "properties": { "code": { "enum": words } } },
            ],
        },
        "examples": examples.collect::<Map<_, _>>(),
    })
}
