//! How the receiver answers: drawn from a seed, the message and the attempt, so that a run can be repeated.

use serde::{Deserialize, Serialize};

/// What the receiver did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// `200` at once.
    Ok,
    /// `200` after so many milliseconds.
    Slow(u64),
    /// `503`: not taken.
    Unavailable,
    /// `400`: refused for what it is.
    Refused,
    /// `500`: who knows.
    Broken,
    /// `502`, although the message was delivered.
    BadGateway,
    /// The connection is cut before the answer's head is whole.
    Cut,
    /// No answer at all.
    Hang,
}

impl Behaviour {
    /// The receiver took the message and said so.
    #[must_use]
    pub const fn took(self) -> bool {
        matches!(self, Self::Ok | Self::Slow(_))
    }

    /// The sender cannot know whether it was taken.
    #[must_use]
    pub const fn in_doubt(self) -> bool {
        matches!(self, Self::Broken | Self::BadGateway | Self::Cut | Self::Hang)
    }
}

/// What becomes of the first attempt of every message, if it is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum First {
    /// [`Behaviour::Cut`].
    Cut,
    /// [`Behaviour::Hang`].
    Hang,
    /// [`Behaviour::BadGateway`].
    BadGateway,
    /// [`Behaviour::Refused`].
    Refused,
}

impl First {
    const fn behaviour(self) -> Behaviour {
        match self {
            Self::Cut => Behaviour::Cut,
            Self::Hang => Behaviour::Hang,
            Self::BadGateway => Behaviour::BadGateway,
            Self::Refused => Behaviour::Refused,
        }
    }
}

/// What the receiver is told to do: shares of a thousand; the rest is answered `200` at once.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// Of the first attempt, whatever is drawn; all others are answered `200` at once then.
    pub first: Option<First>,
    /// Draws differ from seed to seed.
    pub seed: u64,
    /// [`Behaviour::Slow`].
    pub slow: u64,
    /// [`Behaviour::Unavailable`].
    pub unavailable: u64,
    /// [`Behaviour::Refused`].
    pub refused: u64,
    /// [`Behaviour::Broken`].
    pub broken: u64,
    /// [`Behaviour::Cut`].
    pub cut: u64,
    /// [`Behaviour::Hang`].
    pub hang: u64,
    /// How long [`Behaviour::Slow`] takes, in milliseconds; 0: drawn.
    pub pause_ms: u64,
}

impl Manners {
    /// Always `200`.
    pub const GOOD: Self = Self {
        first: None,
        seed: 0,
        slow: 0,
        unavailable: 0,
        refused: 0,
        broken: 0,
        cut: 0,
        hang: 0,
        pause_ms: 0,
    };

    /// The first attempt of every message comes to this, all others are answered `200`.
    #[must_use]
    pub const fn at_first(first: First) -> Self {
        Self { first: Some(first), ..Self::GOOD }
    }

    /// Always `200`, after so many milliseconds.
    #[must_use]
    pub const fn slow(pause_ms: u64) -> Self {
        Self { slow: 1_000, pause_ms, ..Self::GOOD }
    }

    /// Some of everything.
    #[must_use]
    pub const fn rough(seed: u64) -> Self {
        Self { seed, slow: 250, unavailable: 40, refused: 15, broken: 5, cut: 20, hang: 5, ..Self::GOOD }
    }

    /// What happens to this attempt of this message.
    #[must_use]
    pub fn draw(&self, message: &str, attempt: u32) -> Behaviour {
        if let Some(first) = self.first {
            return if attempt > 1 { Behaviour::Ok } else { first.behaviour() };
        }
        let number = hash(self.seed, message, attempt);
        let pause = if self.pause_ms > 0 { self.pause_ms } else { 5 + number / 1_000 % 300 };
        let mut left = number % 1_000;
        let shares = [
            (self.slow, Behaviour::Slow(pause)),
            (self.unavailable, Behaviour::Unavailable),
            (self.refused, Behaviour::Refused),
            (self.broken, Behaviour::Broken),
            (self.cut, Behaviour::Cut),
            (self.hang, Behaviour::Hang),
        ];
        for (share, behaviour) in shares {
            if left < share {
                return behaviour;
            }
            left -= share;
        }
        Behaviour::Ok
    }
}

/// FNV-1a, finished by a multiplication and a fold: the same on every machine.
fn hash(seed: u64, text: &str, number: u32) -> u64 {
    let words = [seed.to_le_bytes(), u64::from(number).to_le_bytes()];
    let bytes = words.iter().flatten().chain(text.as_bytes());
    let mixed = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_repeatable_and_keep_their_shares() {
        let manners = Manners::rough(7);
        let draw = |i: u32| manners.draw(&format!("m-{i}"), 1);
        let count = |wanted: fn(&Behaviour) -> bool| (0..20_000).map(draw).filter(wanted).count();
        assert_eq!(draw(5), draw(5));
        let slow = count(|b| matches!(b, Behaviour::Slow(_)));
        assert!((4_500..5_500).contains(&slow), "{slow}");
        let cut = count(|b| *b == Behaviour::Cut);
        assert!((300..500).contains(&cut), "{cut}");
        assert_eq!(Manners::GOOD.draw("m", 1), Behaviour::Ok);
        let first = Manners::at_first(First::BadGateway);
        assert_eq!((first.draw("m", 1), first.draw("m", 2)), (Behaviour::BadGateway, Behaviour::Ok));
        assert!((0..100).all(|attempt| Manners::slow(7).draw("m", attempt) == Behaviour::Slow(7)));
    }
}
