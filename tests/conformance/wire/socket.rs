//! A packet socket on the TAP's host side, in the namespace of the test.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::{RcvBuf, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
};
use nix::sys::time::TimeVal;

/// Sees every frame of the interface, and sends any.
pub(super) struct PacketSocket(OwnedFd);

impl PacketSocket {
    pub(super) fn on(interface: &str) -> io::Result<PacketSocket> {
        let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
        let interfaces = getifaddrs()?.filter(|this| this.interface_name == interface);
        let address = interfaces.filter_map(|this| this.address?.as_link_addr().copied()).next();
        bind(fd.as_raw_fd(), &address.ok_or(io::ErrorKind::NotFound)?)?;
        // A burst of answers waits here while the test is busy elsewhere.
        setsockopt(&fd, RcvBuf, &(8 << 20))?;
        Ok(PacketSocket(fd))
    }

    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        loop {
            match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                // The TAP's queue is full: the other end is about to read.
                Err(Errno::ENOBUFS | Errno::EINTR) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next frame, if one comes within `span`.
    pub(super) fn receive(&self, span: Duration, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // Zero would mean for ever.
        let span = span.max(Duration::from_micros(1));
        setsockopt(
            &self.0,
            ReceiveTimeout,
            &TimeVal::new(span.as_secs() as i64, i64::from(span.subsec_micros().max(1))),
        )?;
        match recv(self.0.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(count) => Ok(Some(count)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
