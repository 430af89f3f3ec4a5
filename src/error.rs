//! One error type, shaped like errno.
//!
//! Every failure that a socket call can report is one of [`Error`]'s variants, and each variant is exactly
//! one errno of Linux: [`Error::errno`] and [`Error::from_errno`] are one table read in two directions.
//! Failures that only a person can mend (a missing device, a malformed address) are sentences and live
//! where they arise, in `device`, `config` and `cli`.

use std::fmt;
use std::io;

macro_rules! errors {
    ($($(#[doc = $doc:literal])+ $name:ident = $errno:literal, $text:literal;)*) => {
        /// Why a socket call failed. See `errno(3)` and the man page of the call.
        ///
        /// ```
        /// use tapsock::error::Error;
        /// assert_eq!(Error::ConnectionRefused.errno(), 111);
        /// assert_eq!(Error::from_errno(98), Some(Error::AddressInUse));
        /// assert_eq!(std::io::Error::from(Error::WouldBlock).kind(), std::io::ErrorKind::WouldBlock);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Error { $($(#[doc = $doc])+ $name,)* }

        impl Error {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Error] = &[$(Error::$name),*];

            /// The number Linux gives this error.
            pub const fn errno(self) -> i32 {
                match self { $(Error::$name => $errno,)* }
            }

            /// The error of this number, if a socket call can report it.
            pub const fn from_errno(errno: i32) -> Option<Error> {
                match errno { $($errno => Some(Error::$name),)* _ => None }
            }

            /// Its name in `errno(3)`.
            ///
            /// ```
            /// use tapsock::error::Error;
            /// assert_eq!(Error::ConnectionRefused.name(), "ECONNREFUSED");
            /// ```
            pub fn name(self) -> &'static str {
                let about = match self { $(Error::$name => concat!($($doc,)+),)* };
                about.split(':').next().unwrap_or(about).trim()
            }

            const fn text(self) -> &'static str {
                match self { $(Error::$name => $text,)* }
            }
        }
    };
}

errors! {
    /// EPERM: a Unix socket hears another one only.
    NotPermitted = 1, "the operation is not permitted";
    /// ENOENT: there is nothing of this name.
    NotFound = 2, "there is nothing of this name";
    /// EINTR: the stack was told to stop while the call waited.
    Interrupted = 4, "the call was interrupted";
    /// EBADF: the socket is closed.
    BadDescriptor = 9, "the socket is closed";
    /// EAGAIN: it would have to wait.
    WouldBlock = 11, "the call would have to wait";
    /// EACCES: a broadcast without permission; a router or a host says that it is forbidden.
    PermissionDenied = 13, "permission denied";
    /// ENODEV: there is no such interface.
    NoDevice = 19, "there is no such interface";
    /// EINVAL: the call does not fit the socket's state or its arguments.
    InvalidInput = 22, "invalid argument";
    /// EMFILE: the limit on sockets is reached.
    TooManySockets = 24, "the limit on sockets is reached";
    /// EPIPE: this direction was shut down.
    BrokenPipe = 32, "the sending side is shut down";
    /// ENONET: a router says that the host is isolated.
    HostIsolated = 64, "the host is not on the network";
    /// EPROTO: a host or a router says that a header of ours makes no sense.
    ProtocolError = 71, "the other side could not make sense of a header";
    /// EDESTADDRREQ: no destination was given and none is set.
    DestinationRequired = 89, "a destination address is required";
    /// EMSGSIZE: the datagram does not fit.
    MessageTooLong = 90, "the datagram is too long";
    /// EPROTOTYPE: the Unix socket of this name is of another type.
    WrongType = 91, "the socket of this name is of another type";
    /// ENOPROTOOPT: the host does not speak the protocol.
    ProtocolNotAvailable = 92, "the host does not speak the protocol";
    /// EPROTONOSUPPORT: this type of socket has no such protocol.
    ProtocolNotSupported = 93, "this type of socket has no such protocol";
    /// ESOCKTNOSUPPORT: this domain has no such type of socket.
    TypeNotSupported = 94, "this domain has no such type of socket";
    /// EOPNOTSUPP: this type of socket cannot do that.
    NotSupported = 95, "this socket cannot do that";
    /// EAFNOSUPPORT: the address is of another family than the socket.
    FamilyNotSupported = 97, "the address is of another family";
    /// EADDRINUSE: another socket has this address.
    AddressInUse = 98, "the address is in use";
    /// EADDRNOTAVAIL: the stack does not have this address, or no port is free.
    AddressNotAvailable = 99, "the address is not available";
    /// ENETDOWN: the stack has stopped.
    NetworkDown = 100, "the stack has stopped";
    /// ENETUNREACH: no route leads there.
    NetworkUnreachable = 101, "no route leads to the network";
    /// ECONNABORTED: the connection died before it was accepted.
    ConnectionAborted = 103, "the connection was aborted";
    /// ECONNRESET: the peer sent a RST.
    ConnectionReset = 104, "the peer reset the connection";
    /// ENOBUFS: a bound on memory was reached.
    NoBufferSpace = 105, "no buffer space is left";
    /// EISCONN: it is connected already.
    AlreadyConnected = 106, "the socket is connected already";
    /// ENOTCONN: it is not connected.
    NotConnected = 107, "the socket is not connected";
    /// ETIMEDOUT: the peer did not answer.
    TimedOut = 110, "the peer did not answer in time";
    /// ECONNREFUSED: nobody listens there.
    ConnectionRefused = 111, "the connection was refused";
    /// EHOSTDOWN: a router says that there is no such host.
    HostDown = 112, "the host is down";
    /// EHOSTUNREACH: the neighbour does not answer, or a router said so.
    HostUnreachable = 113, "the host cannot be reached";
    /// EALREADY: a connect is under way.
    AlreadyInProgress = 114, "a connect is under way already";
    /// EINPROGRESS: the connect goes on in the background.
    InProgress = 115, "the connect goes on in the background";
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::from_raw_os_error(error.errno())
    }
}

/// What a socket call gives.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_one_errno_and_back() {
        for &error in Error::ALL {
            assert_eq!(Error::from_errno(error.errno()), Some(error));
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn the_numbers_are_those_of_the_kernel() {
        let kernel = [
            (Error::AddressInUse, io::ErrorKind::AddrInUse),
            (Error::AddressNotAvailable, io::ErrorKind::AddrNotAvailable),
            (Error::ConnectionRefused, io::ErrorKind::ConnectionRefused),
            (Error::ConnectionReset, io::ErrorKind::ConnectionReset),
            (Error::ConnectionAborted, io::ErrorKind::ConnectionAborted),
            (Error::TimedOut, io::ErrorKind::TimedOut),
            (Error::NotConnected, io::ErrorKind::NotConnected),
            (Error::BrokenPipe, io::ErrorKind::BrokenPipe),
            (Error::HostUnreachable, io::ErrorKind::HostUnreachable),
            (Error::NetworkUnreachable, io::ErrorKind::NetworkUnreachable),
            (Error::NetworkDown, io::ErrorKind::NetworkDown),
            (Error::WouldBlock, io::ErrorKind::WouldBlock),
        ];
        for (error, kind) in kernel {
            assert_eq!(io::Error::from(error).kind(), kind);
        }
    }
}
