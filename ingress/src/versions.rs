//! The table of addresses. A new version is a module of calls, and a line in [`table`].

use std::sync::Arc;

use actix_web::{HttpRequest, Resource, Route, http::Method, web};
use naru_shared::domain::Environment;

use crate::{
    answer::Answer,
    calls,
    exchange::{Exchange, exchange},
    front::Front,
    meters::Call,
    problem::{Code, Problem},
};

/// Every address there is.
pub fn table(config: &mut web::ServiceConfig, front: &Arc<Front>) {
    config
        .service(web::scope("/v1.0").configure(|scope| version_1_0(scope, front, Environment::Live)))
        .service(
            web::scope("/sandbox/v1.0").configure(|scope| version_1_0(scope, front, Environment::Sandbox)),
        )
        .service(At { front, environment: Environment::Live }.callbacks())
        .service(At { front, environment: Environment::Live }.problems())
        .service(At { front, environment: Environment::Live }.contract())
        .service(At { front, environment: Environment::Live }.docs())
        .service(At { front, environment: Environment::Live }.docs_file())
        .default_service(At { front, environment: Environment::Live }.nothing());
}

fn version_1_0(scope: &mut web::ServiceConfig, front: &Arc<Front>, environment: Environment) {
    let at = At { front, environment };
    scope
        .service(at.resource("/messages", "POST").route(at.run(
            Method::POST,
            Call::Message,
            calls::message::call,
        )))
        .service(at.resource("/messages/batch", "POST").route(at.run(
            Method::POST,
            Call::Batch,
            calls::batch::call,
        )))
        .service(
            at.resource("/messages/{id}", "GET, DELETE")
                .route(at.run(Method::GET, Call::Status, calls::status::call))
                .route(at.run(Method::DELETE, Call::Cancel, calls::cancel::call)),
        )
        .service(at.resource("/reports", "GET").route(at.run(
            Method::GET,
            Call::Reports,
            calls::reports::call,
        )))
        .service(at.resource("/reports/ack", "POST").route(at.run(
            Method::POST,
            Call::Acknowledge,
            calls::report_ack::call,
        )))
        .service(at.resource("/attachments", "POST").route(at.run(
            Method::POST,
            Call::Attachment,
            calls::attachment::call,
        )))
        .service(at.resource("/tokens", "POST").route(at.run(Method::POST, Call::Token, calls::token::call)))
        .service(at.resource("/quota", "GET").route(at.run(Method::GET, Call::Quota, calls::quota::call)))
        .default_service(at.nothing());
}

/// Where calls are put into the table.
struct At<'a> {
    front: &'a Arc<Front>,
    environment: Environment,
}

impl At<'_> {
    /// An address; what is not among its methods is a `405` that names them.
    fn resource(&self, path: &str, allow: &'static str) -> Resource {
        let refuse = async move |_: &mut Exchange| -> Result<Answer, Problem> {
            Err(Problem { allow: Some(allow), ..Problem::from(Code::MethodNotAllowed) })
        };
        web::resource(path).default_service(self.any(Call::Unknown, refuse))
    }

    fn run<F>(&self, method: Method, call: Call, run: F) -> Route
    where
        F: AsyncFn(&mut Exchange) -> Result<Answer, Problem> + Clone + 'static,
    {
        self.any(call, run).method(method)
    }

    fn any<F>(&self, call: Call, run: F) -> Route
    where
        F: AsyncFn(&mut Exchange) -> Result<Answer, Problem> + Clone + 'static,
    {
        let (front, environment) = (Arc::clone(self.front), self.environment);
        web::to(move |request: HttpRequest, payload: web::Payload| {
            let (front, run) = (Arc::clone(&front), run.clone());
            async move { exchange(front, environment, call, request, payload, run).await }
        })
    }

    /// What providers call: a route's name says of which environment it is.
    fn callbacks(&self) -> Resource {
        let call = self.run(Method::POST, Call::Callback, calls::callback::call);
        self.resource("/callbacks/v1.0/{route}", "POST").route(call)
    }

    fn problems(&self) -> Resource {
        let page = self.run(Method::GET, Call::Problem, calls::problem_page::call);
        self.resource("/problems/{code}", "GET").route(page)
    }

    fn contract(&self) -> Resource {
        let contract = self.run(Method::GET, Call::Contract, calls::contract::call);
        self.resource("/openapi.json", "GET").route(contract)
    }

    fn docs(&self) -> Resource {
        let page = self.run(Method::GET, Call::Docs, calls::docs::call);
        self.resource("/docs", "GET").route(page)
    }

    fn docs_file(&self) -> Resource {
        let file = self.run(Method::GET, Call::Docs, calls::docs::call);
        self.resource("/docs/{file}", "GET").route(file)
    }

    fn nothing(&self) -> Route {
        self.any(Call::Unknown, async |_: &mut Exchange| -> Result<Answer, Problem> {
            Err(Code::NotFound.into())
        })
    }
}
