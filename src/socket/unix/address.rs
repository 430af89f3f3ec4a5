//! What Unix sockets are called.

use std::ffi::OsStr;
use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest name: `sun_path` of `sockaddr_un`, for a path less the zero behind it, for an abstract name less the zero
/// in front of it.
const LONGEST: usize = 107;

/// The name of a Unix socket (`unix(7)`). Names are the stack's own: a path is no file of the host, and is compared byte
/// for byte.
///
/// ```
/// use tapsock::socket::UnixAddress;
/// let path = UnixAddress::path("/run/echo")?;
/// assert_eq!(path.to_string(), "/run/echo");
/// assert_eq!(UnixAddress::abstract_name("echo")?.to_string(), "@echo");
/// # Ok::<(), tapsock::error::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Bytes", into = "Bytes")]
#[non_exhaustive]
pub enum UnixAddress {
    /// It was not bound.
    #[default]
    Unnamed,
    /// A path.
    Path(Arc<OsStr>),
    /// Bytes that look like no path: Linux's abstract names.
    Abstract(Arc<[u8]>),
}

/// How a name is written down.
#[derive(Serialize, Deserialize)]
enum Bytes {
    Unnamed,
    Path(Vec<u8>),
    Abstract(Vec<u8>),
}

impl From<Bytes> for UnixAddress {
    fn from(bytes: Bytes) -> UnixAddress {
        match bytes {
            Bytes::Unnamed => UnixAddress::Unnamed,
            Bytes::Path(path) => UnixAddress::Path(OsStr::from_bytes(&path).into()),
            Bytes::Abstract(name) => UnixAddress::Abstract(name.into()),
        }
    }
}

impl From<UnixAddress> for Bytes {
    fn from(address: UnixAddress) -> Bytes {
        match address {
            UnixAddress::Unnamed => Bytes::Unnamed,
            UnixAddress::Path(path) => Bytes::Path(path.as_bytes().into()),
            UnixAddress::Abstract(name) => Bytes::Abstract((*name).into()),
        }
    }
}

impl UnixAddress {
    /// A path.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if it is empty, longer than 107 bytes or has a zero in it.
    pub fn path(path: impl AsRef<Path>) -> Result<UnixAddress> {
        let path = UnixAddress::Path(path.as_ref().as_os_str().into());
        path.check().map(|()| path)
    }

    /// An abstract name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if it is longer than 107 bytes.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Result<UnixAddress> {
        let name = UnixAddress::Abstract(name.as_ref().into());
        name.check().map(|()| name)
    }

    /// Whether it fits into a `sockaddr_un`.
    pub(super) fn check(&self) -> Result<()> {
        let fits = match self {
            UnixAddress::Unnamed => true,
            UnixAddress::Path(path) => (1..=LONGEST).contains(&path.len()) && !path.as_bytes().contains(&0),
            UnixAddress::Abstract(name) => name.len() <= LONGEST,
        };
        if fits { Ok(()) } else { Err(Error::InvalidInput) }
    }

    /// As std has it; `None` if it does not fit there.
    pub fn to_std(&self) -> Option<SocketAddr> {
        match self {
            UnixAddress::Unnamed => SocketAddr::from_pathname("").ok(),
            UnixAddress::Path(path) => SocketAddr::from_pathname(Path::new(path)).ok(),
            UnixAddress::Abstract(name) => SocketAddr::from_abstract_name(name).ok(),
        }
    }
}

impl From<SocketAddr> for UnixAddress {
    fn from(address: SocketAddr) -> UnixAddress {
        match (address.as_pathname(), address.as_abstract_name()) {
            (Some(path), _) => UnixAddress::Path(path.as_os_str().into()),
            (None, Some(name)) => UnixAddress::Abstract(name.into()),
            (None, None) => UnixAddress::Unnamed,
        }
    }
}

impl fmt::Display for UnixAddress {
    /// As `ss(8)` shows them: `@` stands for the zero in front of an abstract name, `*` for no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnixAddress::Unnamed => f.write_str("*"),
            UnixAddress::Path(path) => Path::new(path).display().fmt(f),
            UnixAddress::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_to_std_and_back_and_only_what_fits_there_is_one() {
        let names = [
            UnixAddress::Unnamed,
            UnixAddress::path("relative").unwrap(),
            UnixAddress::path("/".to_owned() + &"a".repeat(LONGEST - 1)).unwrap(),
            UnixAddress::abstract_name("").unwrap(),
            UnixAddress::abstract_name([0; LONGEST]).unwrap(),
        ];
        for name in names {
            assert_eq!(UnixAddress::from(name.to_std().unwrap()), name);
        }
        assert_eq!(UnixAddress::path(""), Err(Error::InvalidInput));
        assert_eq!(UnixAddress::path("a\0b"), Err(Error::InvalidInput));
        assert_eq!(UnixAddress::path("a".repeat(LONGEST + 1)), Err(Error::InvalidInput));
        assert_eq!(UnixAddress::abstract_name([0; LONGEST + 1]), Err(Error::InvalidInput));
    }
}
