//! A batch of which one entry fails: taken out of what is asked, and told in what is answered.

use serde_json::{Value, json};

use super::call::{Call, Service, form};

/// A batch without one of its entries, and that entry's id.
pub(super) struct Parted {
    pub(super) body: Vec<u8>,
    pub(super) entry: String,
}

/// What is said of an entry that was told to be harmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// That it failed.
    Failed,
    /// Nothing.
    Omitted,
    /// What became of it, by another name.
    Renamed,
}

/// The other name.
const NOBODY: &str = "nobody";

/// Whether a call is a batch.
pub(super) fn is_batch(call: &Call) -> bool {
    matches!(call.service, Service::Sqs | Service::Sns) && call.action.ends_with("Batch")
}

/// Takes one entry out of a batch of at least two; `pick` chooses among so many.
pub(super) fn part(call: &Call, body: &[u8], pick: impl FnOnce(usize) -> usize) -> Option<Parted> {
    match call.service {
        Service::Sqs => part_json(body, pick),
        Service::Sns => part_form(body, pick),
        Service::S3 | Service::Other => None,
    }
}

fn part_json(body: &[u8], pick: impl FnOnce(usize) -> usize) -> Option<Parted> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let entries = body["Entries"].as_array_mut().filter(|entries| entries.len() > 1)?;
    let entry = entries.remove(pick(entries.len()));
    Some(Parted { entry: entry["Id"].as_str()?.to_owned(), body: body.to_string().into_bytes() })
}

const MEMBER: &str = "PublishBatchRequestEntries.member.";

fn part_form(body: &[u8], pick: impl FnOnce(usize) -> usize) -> Option<Parted> {
    let ids: Vec<(usize, String)> = form(body)
        .into_iter()
        .filter_map(|(key, id)| Some((key.strip_prefix(MEMBER)?.strip_suffix(".Id")?.parse().ok()?, id)))
        .collect();
    if ids.len() < 2 {
        return None;
    }
    let (number, entry) = ids[pick(ids.len())].clone();
    let text = String::from_utf8(body.to_vec()).ok()?;
    let kept = text.split('&').filter_map(|field| {
        let Some(rest) = field.strip_prefix(MEMBER) else { return Some(field.to_owned()) };
        let (member, rest) = rest.split_once('.')?;
        let member: usize = member.parse().ok()?;
        // Those behind it move up.
        (member != number).then(|| format!("{MEMBER}{}.{rest}", member - usize::from(member > number)))
    });
    Some(Parted { entry, body: kept.collect::<Vec<_>>().join("&").into_bytes() })
}

/// The answer to a batch with that said of this entry; `None` if it is no answer to a batch.
pub(super) fn report(call: &Call, answer: &[u8], telling: Telling, entry: &str) -> Option<Vec<u8>> {
    match call.service {
        Service::Sqs => report_json(serde_json::from_slice(answer).ok()?, telling, entry),
        Service::Sns => report_xml(std::str::from_utf8(answer).ok()?, telling, entry),
        Service::S3 | Service::Other => None,
    }
}

fn report_json(mut answer: Value, telling: Telling, entry: &str) -> Option<Vec<u8>> {
    let mut successful = answer["Successful"].as_array().cloned().unwrap_or_default();
    if telling == Telling::Renamed {
        successful.iter_mut().filter(|told| told["Id"] == *entry).for_each(|told| told["Id"] = json!(NOBODY));
    }
    successful.retain(|told| told["Id"] != *entry);
    answer["Successful"] = Value::Array(successful);
    if telling == Telling::Failed {
        let failed =
            json!({ "Id": entry, "SenderFault": false, "Code": "InternalError", "Message": "injected" });
        match answer["Failed"].as_array_mut() {
            Some(others) => others.push(failed),
            None => answer["Failed"] = json!([failed]),
        }
    }
    Some(answer.to_string().into_bytes())
}

fn report_xml(answer: &str, telling: Telling, entry: &str) -> Option<Vec<u8>> {
    let id = format!("<Id>{entry}</Id>");
    if telling == Telling::Renamed {
        return Some(answer.replace(&id, &format!("<Id>{NOBODY}</Id>")).into_bytes());
    }
    let mut answer =
        answer.replace("<Failed/>", "").replace("<Failed />", "").replace("<Failed></Failed>", "");
    if let Some(at) = answer.find(&id) {
        let (begin, end) = (answer[..at].rfind("<member>")?, at + answer[at..].find("</member>")? + 9);
        answer.replace_range(begin..end, "");
    }
    if telling == Telling::Failed {
        let failed = format!(
            "<Failed><member>{id}<Code>InternalError</Code><Message>injected</Message><SenderFault>false</SenderFault></member></Failed>"
        );
        let end = answer.find("</PublishBatchResult>")?;
        answer.insert_str(end, &failed);
    }
    Some(answer.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: Service, action: &str) -> Call {
        Call { service, action: action.to_owned(), resource: String::new() }
    }

    #[test]
    fn an_entry_of_sqs_is_left_out_and_told() {
        let call = call(Service::Sqs, "SendMessageBatch");
        let asked = json!({ "QueueUrl": "q", "Entries": [{ "Id": "a" }, { "Id": "b" }] }).to_string();
        let parted = part(&call, asked.as_bytes(), |_| 1).unwrap();
        assert_eq!(parted.entry, "b");
        assert_eq!(
            parted.body,
            json!({ "QueueUrl": "q", "Entries": [{ "Id": "a" }] }).to_string().as_bytes()
        );
        let answer = json!({ "Successful": [{ "Id": "a" }, { "Id": "b" }] }).to_string();
        let told: Value =
            serde_json::from_slice(&report(&call, answer.as_bytes(), Telling::Failed, "b").unwrap()).unwrap();
        assert_eq!(told["Successful"], json!([{ "Id": "a" }]));
        assert_eq!(told["Failed"][0]["Id"], "b");
        let single = json!({ "Entries": [{ "Id": "a" }] }).to_string();
        assert!(part(&call, single.as_bytes(), |_| 0).is_none());
    }

    #[test]
    fn an_entry_of_sns_is_left_out_and_told() {
        let call = call(Service::Sns, "PublishBatch");
        let asked = format!(
            "Action=PublishBatch&{MEMBER}1.Id=a&{MEMBER}1.Message=x&{MEMBER}2.Id=b&{MEMBER}2.Message=y"
        );
        let parted = part(&call, asked.as_bytes(), |_| 0).unwrap();
        assert_eq!(parted.entry, "a");
        assert_eq!(parted.body, format!("Action=PublishBatch&{MEMBER}1.Id=b&{MEMBER}1.Message=y").as_bytes());
        let answer = "<R><PublishBatchResult><Successful><member><Id>a</Id></member><member><Id>b</Id></member>\
                      </Successful><Failed/></PublishBatchResult></R>";
        let told =
            String::from_utf8(report(&call, answer.as_bytes(), Telling::Failed, "a").unwrap()).unwrap();
        assert!(
            told.contains("<Successful><member><Id>b</Id></member></Successful><Failed><member><Id>a</Id>")
        );
        let told =
            |telling| String::from_utf8(report(&call, answer.as_bytes(), telling, "a").unwrap()).unwrap();
        assert!(
            !told(Telling::Omitted).contains("<Id>a</Id>") && told(Telling::Omitted).contains("<Id>b</Id>")
        );
        assert!(told(Telling::Renamed).contains("<Successful><member><Id>nobody</Id>"));
    }
}
