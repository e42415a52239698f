use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;

use crate::budget::{Budget, Share};
use crate::refusal::Refusal;

/// How long a body may take to come.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much is unpacked before the budget is asked for more.
const STEP_BYTES: usize = 1 << 16;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    Deflate,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let named = headers
            .get(CONTENT_ENCODING)
            .map(http::HeaderValue::as_bytes);
        match named.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"" | b"identity") => Ok(Self::Plain),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(b"deflate") => Ok(Self::Deflate),
            Some(_) => Err(Refusal::Encoding),
        }
    }
}

/// Reads a body as it came, with the share of memory that it takes.
pub(crate) async fn read(
    body: Body,
    limit_bytes: usize,
    budget: &Budget,
) -> Result<(Bytes, Share), Refusal> {
    let read = read_frames(body, limit_bytes, budget);
    match tokio::time::timeout(TIMEOUT, read).await {
        Ok(read) => read,
        Err(_elapsed) => Err(Refusal::Slow),
    }
}

async fn read_frames(
    mut body: Body,
    limit_bytes: usize,
    budget: &Budget,
) -> Result<(Bytes, Share), Refusal> {
    let mut share = budget.share();
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Refusal::Body)?.into_data() else {
            continue;
        };
        if first.is_empty() && whole.is_empty() {
            check_length(data.len(), limit_bytes)?;
            share.grow_to(data.len())?;
            first = data;
            continue;
        }
        let parts = [std::mem::take(&mut first), data];
        let length = parts[0].len() + parts[1].len();
        check_length(whole.len() + length, limit_bytes)?;
        let rest = body.size_hint().upper();
        let rest = rest.and_then(|bytes| usize::try_from(bytes).ok());
        let most = rest.map_or(limit_bytes, |rest| whole.len() + length + rest);
        make_room(&mut whole, length, most, parts[0].len(), &mut share)?;
        for part in parts {
            whole.extend_from_slice(&part);
        }
    }
    if whole.is_empty() {
        return Ok((first, share));
    }
    Ok((whole.into(), share))
}

fn check_length(length: usize, limit_bytes: usize) -> Result<(), Refusal> {
    if length > limit_bytes {
        return Err(Refusal::TooLarge { limit_bytes });
    }
    Ok(())
}

/// Makes room for `more` bytes, and for as many again as there is room for, so that a body is not
/// moved for each of its parts, but not for more than `most`. The share grows to it and the bytes
/// `beside` it.
fn make_room(
    bytes: &mut Vec<u8>,
    more: usize,
    most: usize,
    beside: usize,
    share: &mut Share,
) -> Result<(), Refusal> {
    let needed = bytes.len() + more;
    if needed > bytes.capacity() {
        let room = most.min(2 * bytes.capacity()).max(needed);
        share.grow_to(room.saturating_add(beside))?;
        bytes.reserve_exact(room - bytes.len());
    }
    Ok(())
}

/// Unpacks a body. A small one that grows without bound is stopped at the limit.
pub(super) fn unpack(
    bytes: Bytes,
    encoding: Encoding,
    limit_bytes: usize,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let packed = bytes.as_ref();
    match encoding {
        Encoding::Plain => Ok(bytes),
        Encoding::Gzip => unpack_from(MultiGzDecoder::new(packed), packed, limit_bytes, share),
        // Senders disagree whether `deflate` has the header of zlib; its first byte tells.
        Encoding::Deflate if packed.first().is_some_and(|byte| byte & 0x0f == 8) => {
            unpack_from(ZlibDecoder::new(packed), packed, limit_bytes, share)
        }
        Encoding::Deflate => unpack_from(DeflateDecoder::new(packed), packed, limit_bytes, share),
    }
}

fn unpack_from(
    mut source: impl std::io::Read,
    packed: &[u8],
    limit_bytes: usize,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let mut plain = Vec::new();
    let mut step = vec![0; STEP_BYTES];
    loop {
        let count = source.read(&mut step).map_err(Refusal::Unpack)?;
        let Some(read) = step.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(plain.into());
        };
        check_length(plain.len() + count, limit_bytes)?;
        make_room(&mut plain, count, limit_bytes, packed.len(), share)?;
        plain.extend_from_slice(read);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn packed_bodies_are_unpacked_up_to_a_limit() {
        let budget = Budget::new(64 << 20);
        let plain = vec![7; 300_000];
        let unpacked =
            |bytes: Bytes, encoding, limit| unpack(bytes, encoding, limit, &mut budget.share());
        assert_eq!(
            unpacked(gzip(&plain), Encoding::Gzip, 300_000).unwrap(),
            plain
        );
        assert!(matches!(
            unpacked(gzip(&plain), Encoding::Gzip, 299_999),
            Err(Refusal::TooLarge { .. })
        ));
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&plain).unwrap();
        let zlib = Bytes::from(zlib.finish().unwrap());
        assert_eq!(
            unpacked(zlib.clone(), Encoding::Deflate, 1 << 20).unwrap(),
            plain
        );
        let raw = zlib.slice(2..zlib.len() - 4);
        assert_eq!(unpacked(raw, Encoding::Deflate, 1 << 20).unwrap(), plain);
        let torn = gzip(&plain).slice(..40);
        assert!(matches!(
            unpacked(torn, Encoding::Gzip, 1 << 20),
            Err(Refusal::Unpack(_))
        ));
    }

    #[test]
    fn unpacking_stays_within_the_budget() {
        let budget = Budget::new(1 << 20);
        let bomb = gzip(&vec![0; 8 << 20]);
        let mut share = budget.share();
        assert!(matches!(
            unpack(bomb, Encoding::Gzip, 64 << 20, &mut share),
            Err(Refusal::TooHeavy { .. })
        ));
    }
}
