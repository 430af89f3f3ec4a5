use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::error::Error;

/// Where a socket is: of any domain.
///
/// ```
/// use std::net::SocketAddr;
/// use tapsock::net::SockAddr;
/// let inet: SocketAddr = "192.0.2.1:80".parse()?;
/// assert_eq!(SockAddr::from(inet).as_socket(), Some(inet));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SockAddr {
    /// AF_INET, AF_INET6: address and port.
    Inet(SocketAddr),
}

impl SockAddr {
    /// Address and port.
    pub fn as_socket(&self) -> Option<SocketAddr> {
        match self {
            SockAddr::Inet(address) => Some(*address),
        }
    }

    pub(super) fn inet(&self) -> io::Result<SocketAddr> {
        self.as_socket().ok_or_else(|| Error::FamilyNotSupported.into())
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(address: SocketAddr) -> SockAddr {
        SockAddr::Inet(address)
    }
}

impl fmt::Display for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SockAddr::Inet(address) => address.fmt(f),
        }
    }
}
