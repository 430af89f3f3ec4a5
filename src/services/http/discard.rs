use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;

/// How long the next piece of a body may take.
const STALL: Duration = Duration::from_secs(60);

/// What came, for the sender to compare.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    bytes: u64,
    crc32: u32,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {} bytes, crc32 {:08x}", self.bytes, self.crc32)
    }
}

/// Why a body has no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    Stalled,
    Broken,
}

/// Reads a body piece by piece, and keeps nothing of it but its length and its CRC-32 (that of zlib and Ethernet).
pub(super) async fn read(mut body: impl Body<Data = Bytes> + Unpin) -> Result<Received, Failed> {
    let mut bytes = 0;
    let mut hasher = crc32fast::Hasher::new();
    while let Some(frame) = tokio::time::timeout(STALL, body.frame()).await.map_err(|_| Failed::Stalled)? {
        // A frame of trailers has no data.
        if let Ok(data) = frame.map_err(|_| Failed::Broken)?.into_data() {
            bytes += data.len() as u64;
            hasher.update(&data);
        }
    }
    Ok(Received { bytes, crc32: hasher.finalize() })
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    #[tokio::test]
    async fn the_checksum_is_that_of_zlib() {
        let digits = read(Full::new(Bytes::from_static(b"123456789"))).await.unwrap();
        assert_eq!(digits.to_string(), "received 9 bytes, crc32 cbf43926");
        let nothing = read(Empty::new()).await.unwrap();
        assert_eq!(nothing.to_string(), "received 0 bytes, crc32 00000000");
    }
}
