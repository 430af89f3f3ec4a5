//! What of smoltcp this layer relies on and smoltcp does not promise, tried before a stack starts.

use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use smoltcp::iface::SocketSet;
use smoltcp::socket::tcp;
use smoltcp::wire::TcpSeqNumber;

use super::medium::{Discard, Noted, Port, instant};
use super::{isn, new_interface};
use crate::observe::Time;

/// smoltcp does not do what this layer relies on. No setting mends that; the build has to be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfTestFailed;

impl fmt::Display for SelfTestFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the self-test failed: smoltcp does not start connections at the sequence numbers that we choose \
             (RFC 6528); build tapsock with --locked, so that it has the version of smoltcp that it was made for",
        )
    }
}

impl std::error::Error for SelfTestFailed {}

/// Tries it: connections must start at the numbers that we choose.
///
/// # Errors
///
/// [`SelfTestFailed`]: a stack would refuse every connection, or begin them at numbers that can be guessed.
pub fn self_test() -> Result<(), SelfTestFailed> {
    let numbers = [0, 1, 0x1234_5678, 0x7fff_ffff, 0x8000_0000, 0xdead_beef, u32::MAX];
    let starts_right = |number: u32| {
        let isn = TcpSeqNumber(number as i32);
        first_number(isn::seed(isn)) == Some(isn)
    };
    if numbers.into_iter().all(starts_right) { Ok(()) } else { Err(SelfTestFailed) }
}

/// Where smoltcp starts a connection if its generator starts at `seed`; `None` if it starts none.
fn first_number(seed: u64) -> Option<TcpSeqNumber> {
    let (local, remote) = (SocketAddr::from(([192, 0, 2, 1], 1)), SocketAddr::from(([192, 0, 2, 2], 1)));
    let buffer = || tcp::SocketBuffer::new(vec![0; 64]);
    catch_unwind(AssertUnwindSafe(|| {
        let mut interface = new_interface(seed, Time::ZERO);
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(tcp::Socket::new(buffer(), buffer()));
        let to = (remote.ip(), remote.port());
        sockets.get_mut::<tcp::Socket<'_>>(socket).connect(interface.context(), to, (local.ip(), local.port())).ok()?;
        let mut sent = Noted::default();
        let mut port = Port { incoming: None, outlet: Discard { sent: &mut sent } };
        interface.poll_egress(instant(Time::ZERO), &mut port, &mut sockets);
        sent.iter().next().filter(|sent| sent.syn).map(|sent| sent.seq)
    }))
    .ok()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_passes_with_the_smoltcp_that_is_built_in() {
        assert_eq!(self_test(), Ok(()));
    }

    /// If smoltcp changed its generator, seeds would lead to other numbers than now: this is what would be seen.
    #[test]
    fn another_seed_starts_at_another_number() {
        let isn = TcpSeqNumber(0x1234_5678);
        assert_eq!(first_number(isn::seed(isn)), Some(isn));
        assert_ne!(first_number(isn::seed(isn).wrapping_add(1)), Some(isn));
        assert!(SelfTestFailed.to_string().contains("--locked"));
    }
}
