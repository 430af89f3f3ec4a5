use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Whole periods of 251 bytes, so that each chunk begins where the pattern does: 125.5 KiB.
static CHUNK: LazyLock<Bytes> = LazyLock::new(|| (0..251 * 512).map(|i: u32| (i % 251) as u8).collect());

/// A body whose byte *i* is *i* mod 251. Its chunks are all slices of one, so nothing is copied. The period is a
/// prime: a piece that is lost, doubled or moved by a power of two shows.
#[derive(Debug)]
pub(super) struct Pattern {
    remaining: u64,
}

impl Pattern {
    pub(super) fn new(length: u64) -> Pattern {
        Pattern { remaining: length }
    }
}

impl http_body::Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.remaining).map_or(CHUNK.len(), |remaining| remaining.min(CHUNK.len()));
        self.remaining -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(CHUNK.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn every_byte_is_its_place_modulo_251() {
        for length in [0, 1, 250, 251, 252, 128_511, 128_512, 128_513, 1_000_000] {
            let body = Pattern::new(length).collect().await.unwrap().to_bytes();
            assert_eq!(body.len() as u64, length);
            assert!(body.iter().enumerate().all(|(i, &byte)| usize::from(byte) == i % 251), "{length}");
        }
    }
}
