//! `naru infra`: what the configuration and the catalog need on AWS.

use clap::{Subcommand, ValueEnum};
use naru_shared::aws::{
    iam::{Process, policy},
    infra::{diff::Difference, resource::Text},
};
use serde::Serialize;

use crate::{
    desk::Desk,
    exit::Failure,
    infra::{self, Site},
    output,
};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum InfraVerb {
    /// What is missing, has drifted, or is not ours; exit code 1 if `naru infra apply` would change anything
    Plan,
    /// Make what is missing and mend what has drifted; nothing is deleted
    Apply,
    /// The least-privilege IAM policy of a process, as JSON
    Iam {
        /// Whose
        process: Who,
        /// The account's number of twelve digits; without it `topic.account`, or else the account of the credentials, which asks AWS
        #[arg(long, value_name = "NUMBER")]
        account: Option<String>,
    },
}

/// A process that calls AWS.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Who {
    /// The HTTP front
    Ingress,
    /// The workers
    Workers,
    /// This command itself
    Infra,
    /// Whoever types `naru status` and `naru quarantine`
    Operator,
}

/// A difference, and of which port.
#[derive(Serialize)]
struct Told {
    port: &'static str,
    #[serde(flatten)]
    difference: Difference,
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: InfraVerb, desk: &Desk) -> anyhow::Result<()> {
    if let InfraVerb::Iam { process, account } = verb {
        let process = match process {
            Who::Ingress => Process::Ingress,
            Who::Workers => Process::Workers,
            Who::Infra => Process::Infra,
            Who::Operator => Process::Operator,
        };
        let policy = policy(process, &infra::uses(&desk.config, account).await?);
        if policy.statement.is_empty() {
            // IAM takes no policy that says nothing.
            let why = "with this configuration it calls nothing on AWS, and needs no policy there";
            return Err(Failure::Refused(why.to_owned()).into());
        }
        return output::print(&serde_json::to_string_pretty(&policy)?);
    }
    let sites = infra::sites(&desk.config, &desk.book()?).await?;
    if sites.is_empty() {
        return Err(Failure::Refused("no engine is on AWS: there is nothing to make".to_owned()).into());
    }
    match verb {
        InfraVerb::Apply => apply(&sites, desk).await,
        _ => plan(&sites, desk).await,
    }
}

async fn plan(sites: &[Site], desk: &Desk) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for site in sites {
        let port = site.area.port();
        all.extend(site.differences().await?.into_iter().map(|difference| Told { port, difference }));
    }
    let open = all.iter().filter(|told| told.difference.can_be_mended()).count();
    if desk.out.json {
        output::print(&serde_json::to_string_pretty(&all)?)?;
    } else if all.is_empty() {
        output::print("everything is as it shall be")?;
    } else {
        all.iter().flat_map(|told| lines(&told.difference)).try_for_each(|line| output::print(&line))?;
    }
    if open == 0 {
        return Ok(());
    }
    Err(Failure::Refused(format!("{open} differences: `naru infra apply` makes an end of them")).into())
}

async fn apply(sites: &[Site], desk: &Desk) -> anyhow::Result<()> {
    let mut done = Vec::new();
    for site in sites {
        let port = site.area.port();
        for difference in site.differences().await? {
            if site.apply(&difference).await? {
                if !desk.out.json {
                    steps(&difference).iter().try_for_each(|step| output::print(step))?;
                }
                done.push(Told { port, difference });
            } else if !desk.out.json {
                lines(&difference).iter().try_for_each(|line| output::print(line))?;
            }
        }
    }
    if desk.out.json {
        output::print(&serde_json::to_string_pretty(&done)?)
    } else if done.is_empty() {
        output::print("nothing was changed")
    } else {
        output::print(&format!("{} changed", done.len()))
    }
}

/// What a difference is, in words.
fn lines(difference: &Difference) -> Vec<String> {
    match difference {
        Difference::Missing(resource) => vec![format!("missing  {} {}", resource.sort, resource.name)],
        Difference::Drifted(drift) => told(&drift.attributes, |attribute, is, shall| {
            format!("drifted  {} {}: {attribute} is {is}, shall be {shall}", drift.sort, drift.name)
        }),
        Difference::Unspoken { sort, name, attribute } => {
            vec![format!("unspoken {sort} {name}: it knows nothing of {attribute}, which is left to you")]
        }
        Difference::Strange { sort, name } => {
            vec![format!("strange  {sort} {name}: nothing needs it; it is left alone")]
        }
    }
}

/// What was done about it.
fn steps(difference: &Difference) -> Vec<String> {
    match difference {
        Difference::Missing(resource) => vec![format!("made {} {}", resource.sort, resource.name)],
        Difference::Drifted(drift) => told(&drift.attributes, |attribute, is, shall| {
            format!("mended {} {}: {attribute} was {is}, is {shall}", drift.sort, drift.name)
        }),
        Difference::Strange { .. } | Difference::Unspoken { .. } => Vec::new(),
    }
}

fn told(
    attributes: &std::collections::BTreeMap<&'static str, naru_shared::aws::infra::diff::Is>,
    say: impl Fn(&str, &Text, &Text) -> String,
) -> Vec<String> {
    attributes.iter().map(|(attribute, is)| say(attribute, &is.is, &is.shall)).collect()
}
