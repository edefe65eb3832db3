//! One record on disk: its length, a checksum, when it came, its bytes.

use crate::limits::RECORD_BYTES_MAX;

/// What a segment begins with.
pub(super) const MAGIC: &[u8; 8] = b"TRKSPL1\n";

/// Length and checksum (CRC-32 of what follows it), then the time.
pub(super) const FRAME_HEAD_BYTES: usize = 16;

/// A frame that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'b> {
    /// When it came, in milliseconds since 1970.
    pub(super) at_ms: u64,
    pub(super) record: &'b [u8],
    /// Its length on disk.
    pub(super) bytes: usize,
}

/// Adds a frame. A record of more than [`RECORD_BYTES_MAX`] is cut: none is.
pub(super) fn write(at_ms: u64, record: &[u8], out: &mut Vec<u8>) {
    let record = record.get(..RECORD_BYTES_MAX).unwrap_or(record);
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    let crc = checksum(&at_ms.to_le_bytes(), record);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&at_ms.to_le_bytes());
    out.extend_from_slice(record);
}

/// The frames at the beginning of `bytes` that are whole; whatever follows the first that is
/// not is none.
pub(super) fn read_all(mut bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let (frame, rest) = read(bytes)?;
        bytes = rest;
        Some(frame)
    })
}

fn read(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (at_ms, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let (record, rest) = rest.split_at_checked(length)?;
    if checksum(at_ms, record) != u32::from_le_bytes(*crc) {
        return None;
    }
    let frame = Frame {
        at_ms: u64::from_le_bytes(*at_ms),
        record,
        bytes: FRAME_HEAD_BYTES + length,
    };
    Some((frame, rest))
}

fn checksum(at_ms: &[u8], record: &[u8]) -> u32 {
    !at_ms.iter().chain(record).fold(u32::MAX, crc32_step)
}

/// CRC-32 of ISO 3309, the checksum of Ethernet and zip.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, crc32_step)
}

fn crc32_step(crc: u32, byte: &u8) -> u32 {
    let place = (crc ^ u32::from(*byte)) & 0xFF;
    let entry = usize::try_from(place).ok().and_then(|p| TABLE.get(p));
    crc >> 8 ^ entry.copied().unwrap_or_default()
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut place = 0;
    while place < 256 {
        let mut crc = place as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[place] = crc;
        place += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_everybody_has() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
