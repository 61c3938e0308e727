//! Addresses that mean another place to somebody else.

use super::room::Room;

#[test]
fn another_spelling_is_no_other_route() {
    let room = Room::open();
    for path in [
        "/v1.0/../v1.0/messages",
        "/v1.0/./messages",
        "/sandbox/../v1.0/messages",
        "/v1.0/messages/..",
        "/v1.0/%2e%2e/v1.0/messages",
        "/v1.0/%2E%2E/messages",
        "/%252e%252e/v1.0/messages",
        "/v1.0/messages%2f",
        "/v1.0%2fmessages",
        "/sandbox%2fv1.0/messages",
        "//v1.0/messages",
        "/v1.0//messages",
        "/v1.0/messages//",
        "/v1.0/messages/",
        "/v1.0/messages;x=1",
        "/v1.0;/messages",
        "/v1.0/messages/..;/messages",
        "/v1.0/messages%00",
        "/v1.0/messages%00/batch",
        "/v1.0\\messages",
        "/v1.0/%5cmessages",
        "/V1.0/messages",
        "/v1.0/Messages",
        "/v1/messages",
        "/v1.0/messages%20",
        "/v1.0/messages%3fdry_run=true",
        "v1.0/messages",
        "*",
    ] {
        let call = room.post(path, "", crate::stage::message("sms", path).to_string().as_bytes());
        room.refuses(path, &call, &[400, 404, 405], false);
    }
    // The id of a message is one part of the path, whatever is written in it.
    for id in ["..%2f..%2fquota", "%2e%2e", "msg_01%00", ".;", "%c0%ae%c0%ae"] {
        let call = format!("{}\r\n", room.head(&format!("GET /v1.0/messages/{id}"), ""));
        room.refuses(id, call.as_bytes(), &[400, 404], false);
    }
    room.accepts("its one spelling", &room.good(), 1);
}
