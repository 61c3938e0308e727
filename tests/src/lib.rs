//! Proves Naru: what every adapter of a port guarantees, and what whole processes promise to whoever talks to them.
//!
//! [`conformance`] stands for itself. The rest, in this order: [`monotonic`] (one clock for all processes) and [`journal`]
//! (what each side saw); [`wire`] and [`customer`] (who ask), [`tools`] and [`engines`] (what it stands on), [`proxy`] and [`aws_proxy`] (what is between),
//! [`gateway`] and [`deployment`] (who is asked; both are a [`site`], and a [`place`] is either), [`compose`] (the same as its containers are configured),
//! [`receiver`] and [`carrier_agent`] (who take), [`stopping`] (an operator who takes back), [`faults`] (who interrupts), [`durability`] (all of them at once), [`outside`] and [`witness`] (who listen, who gathers)
//! and [`checker`] (who judges); [`load`], [`turns`], [`hostile`] (calls that are meant to harm), [`timing`] (whether a refusal's time
//! tells why), [`ways`] (what each way in costs), [`guessing`] and [`crowd`]
//! (what [`paying`] customers feel of those who guess or idle; the first two with [`proving`], calls that prove whose they are) and [`mod@bench`] (who measure).

pub mod conformance;

pub mod monotonic;

pub mod journal;

pub mod wire;

pub mod customer;

pub mod tools;

pub mod engines;

pub mod proxy;

pub mod aws_proxy;

pub mod gateway;

pub mod deployment;

pub mod site;

pub mod place;

pub mod compose;

pub mod receiver;

pub mod carrier_agent;

pub mod stopping;

pub mod faults;

pub mod next;

pub mod outside;

pub mod checker;

pub mod durability;

pub mod witness;

pub mod load;

pub mod turns;

pub mod hostile;

pub mod proving;

pub mod timing;

pub mod ways;

pub mod paying;

pub mod guessing;

pub mod crowd;

pub mod bench;

pub mod idle;

pub mod cost;
