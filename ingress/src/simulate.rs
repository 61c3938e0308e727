//! The header `Naru-Simulate`: what is to happen to a call of the sandbox, and to its messages.

use actix_web::http::header::{HeaderMap, HeaderName};
use naru_shared::domain::{Environment, Simulated, Simulation};

use crate::{
    meters::Call,
    problem::{Code, Problem},
};

/// Its name.
pub const HEADER: HeaderName = HeaderName::from_static("naru-simulate");

/// The longest that is carried with a message.
pub const LONGEST: usize = 200;

/// What travels with the call's messages. A call that is to be refused is refused here, before it has any effect.
pub fn asked(headers: &HeaderMap, environment: Environment, call: Call) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(&HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    if environment == Environment::Live {
        return Err(Code::SimulationOnLive.into());
    }
    let invalid = |why: &str| Problem::new(Code::InvalidSimulation, format!("Naru-Simulate: {why}."));
    let text = value.to_str().map_err(|_| invalid("it is not of ASCII characters"))?.trim();
    if values.next().is_some() || text.len() > LONGEST {
        return Err(invalid("it is sent once, with at most 200 characters"));
    }
    let simulation: Simulation = text.parse().map_err(|error| invalid(&format!("{error}")))?;
    let sends = matches!(call, Call::Message | Call::Batch);
    if let Some(code) = refusal(&simulation) {
        if code == Code::QuotaExceeded && !sends {
            return Err(invalid("no quota is asked by this call"));
        }
        let sentence = "Simulated, as the header Naru-Simulate asked for. Nothing was accepted or changed.";
        return Err(Problem::new(code, sentence).retry_after(simulation.retry_after));
    }
    if sends { Ok(Some(text.to_owned())) } else { Err(invalid("this call sends no message")) }
}

fn refusal(simulation: &Simulation) -> Option<Code> {
    match simulation.outcome {
        Simulated::RateLimited => Some(Code::RateLimited),
        Simulated::QuotaExceeded => Some(Code::QuotaExceeded),
        Simulated::Unavailable => Some(Code::Unavailable),
        Simulated::Delivered
        | Simulated::Failed
        | Simulated::Late
        | Simulated::Unreported
        | Simulated::NotTaken
        | Simulated::Uncertain
        | Simulated::Silent => None,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn ask(
        environment: Environment,
        call: Call,
        values: &[&str],
    ) -> Result<Option<String>, (Code, Option<u64>)> {
        let request = values.iter().fold(TestRequest::default(), |request, value| {
            request.append_header(("naru-simulate", (*value).to_owned()))
        });
        let asked = asked(request.to_http_request().headers(), environment, call);
        asked.map_err(|problem| (problem.code, problem.retry_after))
    }

    #[test]
    fn it_is_taken_in_the_sandbox_alone() {
        let sandbox = |values: &[&str]| ask(Environment::Sandbox, Call::Message, values);
        assert_eq!(sandbox(&[]), Ok(None));
        assert_eq!(sandbox(&[" failed;report=5 "]), Ok(Some("failed;report=5".to_owned())));
        assert_eq!(sandbox(&["fine"]), Err((Code::InvalidSimulation, None)));
        assert_eq!(sandbox(&["failed", "failed"]), Err((Code::InvalidSimulation, None)));
        assert_eq!(sandbox(&["unavailable;retry-after=9"]), Err((Code::Unavailable, Some(9))));
        assert_eq!(sandbox(&["quota-exceeded"]), Err((Code::QuotaExceeded, Some(1))));
        let live = ask(Environment::Live, Call::Message, &["unavailable"]);
        assert_eq!(live, Err((Code::SimulationOnLive, None)));
    }

    #[test]
    fn a_read_can_be_refused_and_nothing_else() {
        let read = |value| ask(Environment::Sandbox, Call::Reports, &[value]);
        assert_eq!(read("rate-limited"), Err((Code::RateLimited, Some(1))));
        assert_eq!(read("unavailable"), Err((Code::Unavailable, Some(1))));
        assert_eq!(read("quota-exceeded"), Err((Code::InvalidSimulation, None)));
        assert_eq!(read("delivered"), Err((Code::InvalidSimulation, None)));
    }
}
