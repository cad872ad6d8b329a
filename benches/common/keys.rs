//! Which key is asked for when: the same sequence for everybody who is compared.

/// Length of a sequence; a power of two.
pub const LENGTH: usize = 1 << 20;

/// How often which key is asked for.
#[derive(Clone, Copy)]
pub enum Draw {
    Uniform,
    /// The k-th key in popularity, 1/k as often as the first.
    Zipf,
}

/// The name of a key: 15 bytes.
pub fn name(key: u32) -> String {
    format!("tenant-{key:08}")
}

/// [`LENGTH`] keys out of `count`.
pub fn sequence(count: u32, draw: Draw) -> Vec<u32> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    match draw {
        Draw::Uniform => (0..LENGTH).map(|_| (random.unit() * f64::from(count)) as u32).collect(),
        Draw::Zipf => {
            let mut total = 0.0;
            let up_to: Vec<f64> = (1..=count)
                .map(|rank| {
                    total += 1.0 / f64::from(rank);
                    total
                })
                .collect();
            let rank = |at: f64| up_to.partition_point(|sum| *sum < at) as u64;
            // Popular keys do not stand side by side.
            let key = |rank: u64| (rank * 611_953 % u64::from(count)) as u32;
            (0..LENGTH).map(|_| key(rank(random.unit() * total).min(u64::from(count) - 1))).collect()
        }
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
