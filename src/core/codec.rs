//! The pieces that records and snapshots are written in: little endian, LEB128, short strings.
//!
//! Every value has one encoding, and reading is total.
#![allow(missing_docs, reason = "each method is named after what it writes or takes")]

/// Longest name or note in bytes; longer ones are cut where they are written.
pub const TEXT_MAX: usize = 256;

/// `text` cut to [`TEXT_MAX`] bytes at a character's border.
pub fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT_MAX)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    &text[..end]
}

/// Appends to bytes.
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn varint(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn text(&mut self, text: &str) {
        let text = cut(text);
        self.varint(text.len() as u128);
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Takes from bytes; `None` = they are not what was asked for.
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    pub fn bytes(&mut self, count: usize) -> Option<&[u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    pub fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub fn u128(&mut self) -> Option<u128> {
        Some(u128::from_le_bytes(self.bytes(16)?.try_into().ok()?))
    }

    pub fn varint(&mut self) -> Option<u128> {
        let mut value = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.u8()?;
            let bits = u128::from(byte & 0x7f);
            // The nineteenth byte holds the last two bits.
            if bits << shift >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // One value has one encoding: no padding zero at the end.
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    pub fn varint64(&mut self) -> Option<u64> {
        u64::try_from(self.varint()?).ok()
    }

    pub fn varint32(&mut self) -> Option<u32> {
        u32::try_from(self.varint()?).ok()
    }

    pub fn text(&mut self) -> Option<String> {
        let count = usize::try_from(self.varint()?).ok().filter(|&count| count <= TEXT_MAX)?;
        String::from_utf8(self.bytes(count)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let long = "ü".repeat(TEXT_MAX);
        assert_eq!(cut(&long).len(), TEXT_MAX);
        assert_eq!(cut(&format!("x{long}")).len(), TEXT_MAX - 1);
        assert_eq!(cut("short"), "short");
    }
}
