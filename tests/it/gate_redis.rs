//! The gate over Redis, as several processes use it: their sum, their deaths, and a Redis that forgets, freezes or is away.

mod away;
mod front;
mod quotas;
mod rates;
mod script;
mod tls;
