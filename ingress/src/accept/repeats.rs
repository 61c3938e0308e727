//! Contents that are refused when they come again too soon, by the wish of the customer they are sent for.

use std::time::Duration;

use hmac::Mac;
use naru_shared::{
    domain::{Account, Content, MessageId, Party},
    gate::ContentMark,
    keys::Secret,
};

use crate::{
    auth::Caller,
    front::Front,
    problem::{Code, Problem},
};

/// Marks contents: whoever sees a mark learns nothing of the text, and cannot try texts against it.
pub struct ContentMarker(Secret);

impl ContentMarker {
    /// Over a secret that never rotates.
    pub fn new(secret: &Secret) -> Self {
        Self(secret.derive("content"))
    }

    /// The mark of everything that a recipient would see, and from whom and by which channel. Not of when it is to be sent, nor of
    /// what only the customer sees. Each field is written with its length.
    pub fn mark(&self, account: &Account, content: &Content) -> ContentMark {
        let mut mac = self.0.hmac();
        let mut field = |text: Option<&str>| {
            mac.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
            mac.update(text.unwrap_or_default().as_bytes());
        };
        let party = |text: &str| text.parse::<Party>().map_or_else(|_| text.to_owned(), String::from);
        field(Some(account.customer.as_str()));
        field(Some(account.environment.as_str()));
        field(Some(content.channel.as_str()));
        field(Some(&party(&content.recipient)));
        field(content.sender.as_deref().map(party).as_deref());
        field(content.subject.as_deref());
        field(Some(&content.body));
        content.attachments.iter().for_each(|id| field(Some(id)));
        if !content.data.is_empty() {
            field(serde_json::to_string(&content.data).ok().as_deref());
        }
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut mark = [0; 16];
        mark.copy_from_slice(&digest[..16]);
        ContentMark(mark)
    }
}

/// Claims the content of a message, where its customer wants repetitions refused: its mark, if the gate keeps it.
pub async fn claim(
    front: &Front,
    caller: &Caller,
    content: &Content,
    id: MessageId,
) -> Result<Option<ContentMark>, Problem> {
    let Some(seconds) = caller.profile.customer.refuse_repeats else { return Ok(None) };
    let mark = front.contents.mark(&caller.account, content);
    let span = Duration::from_secs(u64::from(seconds.get()));
    match front.gate.claim_content(&caller.account, mark, id, span).await {
        Ok(None) => Ok(Some(mark)),
        Ok(Some(left)) => {
            let sentence = format!("The same was sent to this recipient less than {seconds} seconds ago.");
            Err(Problem::new(Code::DuplicateContent, sentence).retry_after(left.as_secs() + 1))
        }
        Err(error) => front.without_gate(caller, &error).map(|()| None),
    }
}

#[cfg(test)]
mod tests {
    use naru_shared::domain::Environment;

    use super::*;
    use crate::accept::units::tests::content;

    #[test]
    fn a_mark_is_of_what_a_recipient_sees_and_from_whom() {
        let marker = ContentMarker::new(&Secret::new([7; 32]));
        let account = Account { customer: "acme".parse().unwrap(), environment: Environment::Live };
        let base = content("sms", "hello");
        let mark = |edit: fn(&mut Content)| {
            let mut edited = base.clone();
            edit(&mut edited);
            marker.mark(&account, &edited)
        };
        let same = mark(|_| ());
        assert_eq!(mark(|c| c.recipient = "010-1234-5678".to_owned()), same, "however it is written");
        assert_eq!(mark(|c| c.reference = Some("r".to_owned())), same);
        assert_eq!(mark(|c| c.ttl = Some(60)), same);
        let others: [fn(&mut Content); 7] = [
            |c| c.channel = "lms".parse().unwrap(),
            |c| c.recipient.push('9'),
            |c| c.sender = Some("0215441234".to_owned()),
            |c| c.subject = Some("s".to_owned()),
            |c| c.body.push('!'),
            |c| c.attachments.push("a".to_owned()),
            |c| drop(c.data.insert("a".to_owned(), true.into())),
        ];
        for other in others {
            assert_ne!(mark(other), same);
        }
        let elsewhere = Account { environment: Environment::Sandbox, ..account.clone() };
        assert_ne!(marker.mark(&elsewhere, &base), same);
        assert_ne!(ContentMarker::new(&Secret::new([8; 32])).mark(&account, &base), same);
    }
}
