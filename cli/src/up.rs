//! `naru up`, `naru ingress` and `naru workers`: what was typed, laid upon the configuration.

use std::path::PathBuf;

use naru_shared::ports::Part;

use crate::{
    args::{IngressArgs, ServiceArgs, UpArgs},
    config::Config,
    service::Service,
};

/// Everything in one process.
#[must_use]
pub fn whole(mut config: Config, file: Option<PathBuf>, args: UpArgs) -> Service {
    config.process.demo &= !args.no_demo;
    let deliver = args.workers > 0;
    Service { deliver, part: Part::Whole, ..ingress(config, file, args.ingress) }
}

/// The HTTP front.
#[must_use]
pub fn ingress(mut config: Config, file: Option<PathBuf>, args: IngressArgs) -> Service {
    config.ingress.listen = args.listen.unwrap_or(config.ingress.listen);
    Service { deliver: false, part: Part::Ingress, ..workers(config, file, args.service) }
}

/// The workers.
#[must_use]
pub fn workers(mut config: Config, file: Option<PathBuf>, args: ServiceArgs) -> Service {
    config.operator.listen = args.operator_listen.unwrap_or(config.operator.listen);
    config.log.format = args.log_format.unwrap_or(config.log.format);
    Service { config, part: Part::Workers, deliver: true, file }
}
