//! One admission as workers record it: 24 bytes, little-endian (tests/workers/README.md).

/// Bytes of one record.
pub const SIZE: usize = 24;

/// Permits that were admitted at some moment from `before` to `after`, in nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    pub before: u64,
    pub after: u64,
    pub permits: u64,
}

impl Admission {
    pub fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&self.before.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.after.to_le_bytes());
        bytes[16..].copy_from_slice(&self.permits.to_le_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8; SIZE]) -> Admission {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Admission { before: number(0), after: number(8), permits: number(16) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_three_little_endian_numbers() {
        let admission = Admission { before: 1, after: 0x0203, permits: u64::MAX };
        let bytes = admission.to_bytes();
        assert_eq!(bytes[..10], [1, 0, 0, 0, 0, 0, 0, 0, 3, 2]);
        assert_eq!(Admission::from_bytes(&bytes), admission);
    }
}
