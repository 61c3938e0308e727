//! Whether one of two sets of times is longer by more than a margin: three two-sample tests, each of which sees what the others miss.
//!
//! *Mann–Whitney* sees a shift of the bulk and does not care how far an outlier is out. *Welch's t* of what is left when the slowest
//! tenth of both together is cut off sees the smallest shift: on a machine that does other things the tail is the machine's. *Kolmogorov–Smirnov*
//! sees another shape with the same middle. Each asks both ways round. A pair is told apart if any of them says so at its share of the level
//! (Bonferroni).

use serde::Serialize;

/// Tests of each pair.
pub const TESTS: usize = 3;

/// What is kept of both samples together; the rest is the machine's.
const KEPT: f64 = 0.9;

/// What cutting leaves of a shift: of a normal bulk 0.71, since the longer of the two then loses more of its slow part.
const LEFT: f64 = 0.71;

/// The quantile of the standard normal at which nine of ten differences would be found.
const NINE_OF_TEN: f64 = 1.2816;

/// Two samples of times in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Comparison {
    /// How likely so much beyond the margin is by chance, of the most surprised of the tests, before the level is shared out.
    pub p: f64,
    /// Mann–Whitney's word, Welch's, and Kolmogorov–Smirnov's.
    pub by_test: [f64; TESTS],
    /// What the second takes longer, in nanoseconds, of the nine tenths that are kept.
    pub difference_ns: f64,
    /// A difference of the means that would be found in nine of ten runs like this.
    pub would_find_ns: f64,
}

/// Compares two samples; each test may err with `level` where they differ by no more than the margin.
#[must_use]
pub fn compare(a: &[f64], b: &[f64], level: f64, margin_ns: f64) -> Comparison {
    let later = |values: &[f64]| values.iter().map(|value| value + margin_ns).collect::<Vec<_>>();
    let (second, first) = (is_slower(&later(a), b), is_slower(&later(b), a));
    let mut by_test = [1.0; TESTS];
    for (p, (one, other)) in by_test.iter_mut().zip(second.into_iter().zip(first)) {
        *p = (2.0 * f64::min(one, other)).min(1.0);
    }
    let (difference_ns, error) = welch(a, b, Ranked::of(a, b).quantile(KEPT));
    let p = by_test.into_iter().fold(1.0, f64::min);
    let would_find_ns = margin_ns + (upper_quantile(level / 2.0) + NINE_OF_TEN) * error / LEFT;
    Comparison { p, by_test, difference_ns, would_find_ns }
}

/// How likely by chance the second is so much longer.
fn is_slower(a: &[f64], b: &[f64]) -> [f64; TESTS] {
    let ranked = Ranked::of(a, b);
    let (difference, error) = welch(a, b, ranked.quantile(KEPT));
    let welch = if error > 0.0 { upper(difference / error) } else { 1.0 };
    [ranked.mann_whitney(), welch, ranked.kolmogorov_smirnov()]
}

/// Both samples in one order.
struct Ranked {
    /// The value, and whether it is of the first.
    all: Vec<(f64, bool)>,
    first: f64,
    second: f64,
}

impl Ranked {
    fn of(a: &[f64], b: &[f64]) -> Self {
        let mut all: Vec<(f64, bool)> = a.iter().map(|&value| (value, true)).collect();
        all.extend(b.iter().map(|&value| (value, false)));
        all.sort_by(|x, y| x.0.total_cmp(&y.0));
        Self { all, first: a.len() as f64, second: b.len() as f64 }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a length")]
    fn quantile(&self, part: f64) -> f64 {
        let at = (self.all.len() as f64 * part) as usize;
        self.all.get(at).map_or(f64::INFINITY, |(value, _)| *value)
    }

    /// The normal approximation with the correction for ties.
    fn mann_whitney(&self) -> f64 {
        let (mut ranks, mut ties, mut passed) = (0.0, 0.0, 0.0);
        for same in self.all.chunk_by(|x, y| x.0 == y.0) {
            let count = same.len() as f64;
            let rank = passed + f64::midpoint(count, 1.0);
            ranks += rank * same.iter().filter(|(_, first)| *first).count() as f64;
            ties += count * count * count - count;
            passed += count;
        }
        let (m, n, all) = (self.first, self.second, passed);
        let lack = m * (all + 1.0) / 2.0 - ranks;
        let variance = m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
        if variance <= 0.0 { 1.0 } else { upper(lack / variance.sqrt()) }
    }

    /// One-sided and asymptotic (N. Smirnov).
    fn kolmogorov_smirnov(&self) -> f64 {
        let (mut a, mut b, mut ahead) = (0.0, 0.0, 0.0_f64);
        for same in self.all.chunk_by(|x, y| x.0 == y.0) {
            let firsts = same.iter().filter(|(_, first)| *first).count() as f64;
            a += firsts / self.first;
            b += (same.len() as f64 - firsts) / self.second;
            ahead = ahead.max(a - b);
        }
        let size = self.first * self.second / (self.first + self.second);
        (-2.0 * size * ahead * ahead).exp()
    }
}

/// The difference of the means below the cut, and its standard error; both samples are large.
fn welch(a: &[f64], b: &[f64], cut: f64) -> (f64, f64) {
    let moments = |values: &[f64]| {
        let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for &value in values.iter().filter(|value| **value <= cut) {
            n += 1.0;
            let off = value - mean;
            mean += off / n;
            squares += off * (value - mean);
        }
        (mean, squares / (n - 1.0_f64).max(1.0) / n.max(1.0))
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    (mean_b - mean_a, (error_a + error_b).sqrt())
}

/// How likely the standard normal is above this.
fn upper(z: f64) -> f64 {
    let tail = erfc(z.abs() / std::f64::consts::SQRT_2) / 2.0;
    if z < 0.0 { 1.0 - tail } else { tail }
}

/// Above which the standard normal is so seldom.
fn upper_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if upper(middle) > p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The complementary error function for x ≥ 0, to 1.2e-7 of its value (W. H. Press et al., Numerical Recipes, section 6.2).
fn erfc(x: f64) -> f64 {
    const TERMS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + x / 2.0);
    let sum = TERMS.iter().rev().fold(0.0, |sum, term| sum * t + term);
    t * (sum - x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times as they come: a bulk, and a tail that is the machine's.
    fn times(rng: &mut fastrand::Rng, shift: f64) -> Vec<f64> {
        let normal = |rng: &mut fastrand::Rng| (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        let tail = |rng: &mut fastrand::Rng| if rng.u8(..) < 10 { rng.f64() * 1e6 } else { 0.0 };
        (0..4_000).map(|_| 80_000.0 + shift + 5_000.0 * normal(rng) + tail(rng)).collect()
    }

    #[test]
    fn the_normal_s_tail_is_what_tables_say() {
        for (z, p) in [(1.959_964, 0.05), (2.575_829, 0.01), (3.890_592, 1e-4), (4.891_638, 1e-6)] {
            assert!((2.0 * upper(z) / p - 1.0).abs() < 1e-4, "{z}: {}", upper(z));
            assert!((upper(z) + upper(-z) - 1.0).abs() < 1e-12);
            assert!((upper_quantile(p / 2.0) - z).abs() < 1e-4, "{p}: {}", upper_quantile(p / 2.0));
        }
    }

    #[test]
    fn what_is_the_same_is_told_apart_as_seldom_as_the_level_says() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut below = [0; TESTS];
        for _ in 0..400 {
            let compared = compare(&times(&mut rng, 0.0), &times(&mut rng, 0.0), 0.05, 0.0);
            for (count, p) in below.iter_mut().zip(compared.by_test) {
                *count += usize::from(p < 0.05);
            }
        }
        // Twenty of each are expected; more than forty come once in hundreds of thousands.
        assert!(below.iter().all(|count| (4..=40).contains(count)), "{below:?}");
    }

    #[test]
    fn a_shift_that_it_says_it_would_find_is_found_by_nine_of_ten() {
        let mut rng = fastrand::Rng::with_seed(8);
        let level = 1e-4;
        let size = compare(&times(&mut rng, 0.0), &times(&mut rng, 0.0), level, 0.0).would_find_ns;
        assert!((200.0..1_500.0).contains(&size), "{size}");
        let found = |rng: &mut fastrand::Rng, shift| {
            (0..100).filter(|_| compare(&times(rng, 0.0), &times(rng, shift), level, 0.0).p < level).count()
        };
        let at_size = found(&mut rng, size);
        assert!(at_size >= 85, "{at_size}");
        let below = found(&mut rng, size / 20.0);
        assert!(below <= 5, "{below}");
    }

    #[test]
    fn another_shape_with_the_same_middle_is_told_apart() {
        let mut rng = fastrand::Rng::with_seed(9);
        let a: Vec<f64> = (0..4_000).map(|_| 100.0 + rng.f64() - 0.5).collect();
        let b: Vec<f64> = (0..4_000).map(|_| 100.0 + (rng.f64() - 0.5) * 2.0).collect();
        let compared = compare(&a, &b, 1e-4, 0.0);
        assert!(compared.by_test[2] < 1e-9, "{compared:?}");
    }

    #[test]
    fn what_differs_by_less_than_the_margin_is_not_told_apart_and_by_more_is() {
        let mut rng = fastrand::Rng::with_seed(10);
        let p = |rng: &mut fastrand::Rng, shift, margin| {
            let (a, b) = (times(rng, 0.0), times(rng, shift));
            let (one, other) = (compare(&a, &b, 1e-4, margin), compare(&b, &a, 1e-4, margin));
            assert!((one.p - other.p).abs() <= one.p * 1e-6, "{one:?} {other:?}");
            one.p
        };
        assert!(p(&mut rng, 1_500.0, 0.0) < 1e-4);
        assert!(p(&mut rng, 1_500.0, 2_000.0) > 0.01);
        assert!(p(&mut rng, 4_000.0, 2_000.0) < 1e-4);
    }
}
