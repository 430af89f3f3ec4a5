//! Chargen, the character generator (RFC 864).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::tokio::TcpStream;

/// The printable characters of ASCII, the space included.
const PRINTABLE: usize = 95;
const LINE: usize = 72;
/// Each line begins one character later than the line before, so the text repeats after this many bytes.
const PERIOD: usize = PRINTABLE * (LINE + "\r\n".len());

/// Enough periods that a write from anywhere in the first one is a large one.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut period = Vec::with_capacity(PERIOD);
    for first in 0..PRINTABLE {
        period.extend((first..first + LINE).map(|i| b' ' + (i % PRINTABLE) as u8));
        period.extend(b"\r\n");
    }
    period.repeat(10)
});

/// Writes without end, and throws away what comes: bytes that nobody reads would close the peer's window, and
/// turn the end of the connection into a RST.
pub(super) async fn stream(mut stream: TcpStream) -> io::Result<()> {
    let mut generator = Generator { position: 0, hears: true };
    poll_fn(|context| generator.poll(Pin::new(&mut stream), context)).await
}

struct Generator {
    /// Where in the first period the next byte is.
    position: usize,
    /// The peer has not closed its direction.
    hears: bool,
}

impl Generator {
    fn poll(&mut self, mut stream: Pin<&mut TcpStream>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.hears {
            let mut bytes = [0; 1024];
            let mut buffer = ReadBuf::new(&mut bytes);
            match stream.as_mut().poll_read(context, &mut buffer)? {
                Poll::Ready(()) => self.hears = !buffer.filled().is_empty(),
                Poll::Pending => break,
            }
        }
        // The ring behind the stream is bounded, so this ends.
        loop {
            match stream.as_mut().poll_write(context, &PATTERN[self.position..])? {
                Poll::Ready(count) => self.position = (self.position + count) % PERIOD,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_that_of_the_rfc() {
        let text = std::str::from_utf8(&PATTERN).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert!(lines.iter().all(|line| line.len() == 72));
        // As in the example of the RFC.
        assert_eq!(lines[1], r##"!"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefgh"##);
        assert_eq!(lines[2], r##""#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghi"##);
        assert_eq!(lines[95], lines[0]);
        assert_eq!(PATTERN[PERIOD..2 * PERIOD], PATTERN[..PERIOD]);
    }
}
