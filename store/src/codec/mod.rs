//! Bytes of stored values: bincode bodies, and the frame of version, compression and checksum
//! that every value in a redb table has around its body, because redb does not verify pages when
//! it reads.
//!
//! ```text
//! version u8 | flags u8 | [raw length u32, if compressed] | body | xxh3-64 of all before it
//! ```
//!
//! Numbers are little-endian. Flag 1: the body is zstd. The checksum is seeded with the name of
//! the table and the key, so that a good value in the wrong place is damage too.

pub(crate) mod zstd;

use bincode::config::Configuration;
use bincode::{Decode, Encode};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The largest body a value may decompress to.
pub(crate) const MAX_RAW_BYTES: usize = 1 << 30;
/// The largest bincode body that is decoded.
const MAX_BINCODE_BYTES: usize = 64 << 20;
const FLAG_ZSTD: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// Why a stored value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The value is shorter than its frame.
    #[error("the value has only {bytes} bytes")]
    TooShort {
        /// Its length.
        bytes: usize,
    },
    /// The checksum does not match.
    #[error("the checksum does not match")]
    Checksum,
    /// A later version of Spanlite wrote the value.
    #[error("the value has version {found}, this program reads up to {supported}")]
    NewerVersion {
        /// The version of the value.
        found: u8,
        /// The newest version that is read.
        supported: u8,
    },
    /// The compressed body does not decompress to the length it names.
    #[error("the compressed body is damaged")]
    Compression,
    /// The body has the right checksum, and still does not decode.
    #[error("the body does not decode: {reason}")]
    Body {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A piece of a value that was split is not there.
    #[error("piece {piece} of the value is missing")]
    MissingPiece {
        /// The number of the piece.
        piece: u16,
    },
}

/// Where a value stands; part of its checksum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(u64);

impl Place {
    pub(crate) fn new(table: &str, key: &[u8]) -> Self {
        Self(xxh3_64_with_seed(key, xxh3_64(table.as_bytes())))
    }
}

fn configuration() -> Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_BINCODE_BYTES>,
> {
    bincode::config::standard().with_limit::<MAX_BINCODE_BYTES>()
}

/// The bincode form of a value. Types with recursion are not allowed: decoding has no depth limit.
pub(crate) fn to_bincode(value: &impl Encode) -> Vec<u8> {
    // Encoding into memory fails for types that refuse, and none of ours does.
    bincode::encode_to_vec(value, bincode::config::standard()).unwrap_or_default()
}

/// Reads the bincode form back; bytes that are left over are an error.
pub(crate) fn from_bincode<T: Decode<()>>(bytes: &[u8]) -> Result<T, ValueError> {
    match bincode::decode_from_slice(bytes, configuration()) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) => Err(ValueError::Body {
            reason: "bytes are left over",
        }),
        Err(_) => Err(ValueError::Body {
            reason: "it is not the type that belongs here",
        }),
    }
}

/// Puts the frame around a body.
pub(crate) fn seal(version: u8, body: &[u8], place: Place) -> Vec<u8> {
    let mut value = Vec::with_capacity(2 + body.len() + CHECKSUM_BYTES);
    value.extend_from_slice(&[version, 0]);
    value.extend_from_slice(body);
    finish(value, place)
}

/// Puts the frame around a body and compresses it, unless that makes it longer.
pub(crate) fn seal_compressed(version: u8, body: &[u8], place: Place) -> Vec<u8> {
    let Some(compressed) = zstd::compress(body) else {
        return seal(version, body, place);
    };
    if compressed.len() + 4 >= body.len() {
        return seal(version, body, place);
    }
    let mut value = Vec::with_capacity(6 + compressed.len() + CHECKSUM_BYTES);
    value.extend_from_slice(&[version, FLAG_ZSTD]);
    value.extend_from_slice(&(body.len() as u32).to_le_bytes());
    value.extend_from_slice(&compressed);
    finish(value, place)
}

fn finish(mut value: Vec<u8>, place: Place) -> Vec<u8> {
    let checksum = xxh3_64_with_seed(&value, place.0);
    value.extend_from_slice(&checksum.to_le_bytes());
    value
}

/// Takes the frame off and checks it. `supported` is the newest version the caller reads.
pub(crate) fn unseal(value: &[u8], place: Place, supported: u8) -> Result<Vec<u8>, ValueError> {
    let too_short = ValueError::TooShort { bytes: value.len() };
    let Some((framed, checksum)) = value.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(too_short);
    };
    let Some(([version, flags], body)) = framed.split_first_chunk::<2>() else {
        return Err(too_short);
    };
    if xxh3_64_with_seed(framed, place.0) != u64::from_le_bytes(*checksum) {
        return Err(ValueError::Checksum);
    }
    if *version > supported {
        return Err(ValueError::NewerVersion {
            found: *version,
            supported,
        });
    }
    if flags & FLAG_ZSTD == 0 {
        return Ok(body.to_vec());
    }
    let (raw_length, compressed) = body.split_first_chunk::<4>().ok_or(too_short)?;
    let raw_length = u32::from_le_bytes(*raw_length) as usize;
    if raw_length > MAX_RAW_BYTES {
        return Err(ValueError::Compression);
    }
    zstd::decompress(compressed, raw_length).ok_or(ValueError::Compression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::new("hot", &[1])
    }

    #[test]
    fn bodies_come_back_and_every_flipped_bit_is_seen() {
        let long = b"abc".repeat(100);
        for body in [&b""[..], b"x", &long] {
            for value in [seal(1, body, place()), seal_compressed(1, body, place())] {
                assert_eq!(unseal(&value, place(), 1).unwrap(), body);
                for bit in 0..value.len() * 8 {
                    let mut damaged = value.clone();
                    damaged[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(
                        unseal(&damaged, place(), 1).unwrap_err(),
                        ValueError::Checksum
                    );
                }
            }
        }
    }

    #[test]
    fn a_value_under_another_key_is_damage() {
        let value = seal(1, b"body", place());
        let elsewhere = Place::new("hot", &[2]);
        assert_eq!(
            unseal(&value, elsewhere, 1).unwrap_err(),
            ValueError::Checksum
        );
    }

    #[test]
    fn newer_versions_and_short_values_are_told_apart() {
        let value = seal(2, b"body", place());
        assert_eq!(
            unseal(&value, place(), 1).unwrap_err(),
            ValueError::NewerVersion {
                found: 2,
                supported: 1
            }
        );
        assert_eq!(
            unseal(&[0; 9], place(), 1).unwrap_err(),
            ValueError::TooShort { bytes: 9 }
        );
    }

    #[test]
    fn a_hostile_length_is_an_error_and_not_an_allocation() {
        let mut bytes = vec![253];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(from_bincode::<Vec<u64>>(&bytes).is_err());
        assert!(from_bincode::<String>(&bytes).is_err());
    }

    /// The bytes are the format: a change here is a change of the files on disk.
    #[test]
    fn golden_bytes_of_bincode() {
        let value = (
            7u8,
            300u32,
            "é".to_owned(),
            vec![(1u64, -1i64)],
            Some([9u8; 2]),
        );
        let bytes = to_bincode(&value);
        assert_eq!(bytes, [7, 251, 44, 1, 2, 195, 169, 1, 1, 1, 1, 9, 9]);
    }
}
