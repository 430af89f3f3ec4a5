use std::io;
use std::net::SocketAddr;

use crate::error::Error;
pub use crate::socket::Address as SockAddr;

impl SockAddr {
    /// What covers of the internet's domains give.
    pub(super) fn inet(&self) -> io::Result<SocketAddr> {
        self.as_socket().ok_or_else(|| Error::FamilyNotSupported.into())
    }
}
