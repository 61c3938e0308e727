//! A tenth of the calls that are meant to harm; all of them are `proof hostile`.

use naru_tests::hostile::run;

use crate::stage::beside_others;

#[test]
fn calls_that_are_meant_to_harm_are_refused_without_effect_and_nothing_breaks_or_grows() {
    let _beside = beside_others();
    let told = run(100_000, 6).unwrap();
    eprintln!("{} calls a second: {:?}", told.rate.round(), told.answers);
    assert!(told.broken.is_empty(), "{:#?}", told.broken);
    assert!(told.accepted > 1_000, "some of what is done to a call does no harm: {}", told.accepted);
    for code in [
        "malformed-json",
        "unauthorized",
        "malformed-authorization",
        "duplicate-header",
        "uri-too-long",
        "head-too-large",
        "not-found",
    ] {
        assert!(told.answers.keys().any(|answer| answer.ends_with(code)), "nothing was refused as {code}");
    }
}
