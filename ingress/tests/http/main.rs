//! The HTTP front over real sockets and the embedded engines.

#[cfg(test)]
mod accept;
#[cfg(test)]
mod access;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod away;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod chosen;
#[cfg(test)]
mod doubt;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod guesses;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod rehearsal;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod wire;
