//! One stream in two hands: who reads and who writes.

/// Makes the four halves of a stream, borrowed and owned, with the methods of tokio's.
macro_rules! halves {
    ($stream:ident, $address:ty) => {
        use std::error::Error;
        use std::fmt;
        use std::io;
        use std::pin::Pin;
        use std::sync::Arc;
        use std::task::{Context, Poll};

        use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};


        /// The half that reads, borrowed: of `split`.
        #[derive(Debug)]
        pub struct ReadHalf<'a>(&'a $stream);

        /// The half that writes, borrowed: of `split`.
        #[derive(Debug)]
        pub struct WriteHalf<'a>(&'a $stream);

        /// The half that reads, for a task of its own: of `into_split`.
        #[derive(Debug)]
        pub struct OwnedReadHalf(Arc<$stream>);

        /// The half that writes, for a task of its own: of `into_split`. Dropping it shuts the direction down: the peer
        /// reads the end of the stream.
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            stream: Arc<$stream>,
            shuts_down: bool,
        }

        /// The two halves that were to be joined are of different streams.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tried to reunite halves that are not from the same socket")
            }
        }

        impl Error for ReuniteError {}

        pub(in crate::net::tokio) fn split(stream: &mut $stream) -> (ReadHalf<'_>, WriteHalf<'_>) {
            (ReadHalf(stream), WriteHalf(stream))
        }

        pub(in crate::net::tokio) fn into_split(stream: $stream) -> (OwnedReadHalf, OwnedWriteHalf) {
            let stream = Arc::new(stream);
            (OwnedReadHalf(Arc::clone(&stream)), OwnedWriteHalf { stream, shuts_down: true })
        }

        impl OwnedReadHalf {
            /// Joins the halves of one stream again.
            ///
            /// # Errors
            ///
            /// [`ReuniteError`] with both, if they are of different streams.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                if !Arc::ptr_eq(&self.0, &other.stream) {
                    return Err(ReuniteError(self, other));
                }
                other.forget();
                // There were two handles, and the other is gone.
                Arc::try_unwrap(self.0).map_err(|_| unreachable!("a third handle of two"))
            }
        }

        impl OwnedWriteHalf {
            /// [`OwnedReadHalf::reunite`].
            ///
            /// # Errors
            ///
            /// [`ReuniteError`] with both, if they are of different streams.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                other.reunite(self)
            }

            /// Drops the half without shutting the direction down.
            pub fn forget(mut self) {
                self.shuts_down = false;
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.shuts_down {
                    // A connection that is over cannot be told.
                    let _ = self.stream.shutdown_write();
                }
            }
        }

        impl AsRef<$stream> for ReadHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.0
            }
        }

        impl AsRef<$stream> for WriteHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.0
            }
        }

        impl AsRef<$stream> for OwnedReadHalf {
            fn as_ref(&self) -> &$stream {
                &self.0
            }
        }

        impl AsRef<$stream> for OwnedWriteHalf {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }

        halves!(@addresses $address; ReadHalf<'_>, WriteHalf<'_>, OwnedReadHalf, OwnedWriteHalf);
        halves!(@read ReadHalf<'_>, OwnedReadHalf);
        halves!(@write WriteHalf<'_>, OwnedWriteHalf);
    };
    (@addresses $address:ty; $($half:ty),*) => {
        $(impl $half {
            /// Our end.
            ///
            /// # Errors
            ///
            /// None; tokio's signature.
            pub fn local_addr(&self) -> io::Result<$address> {
                self.as_ref().local_addr()
            }

            /// The peer's end.
            ///
            /// # Errors
            ///
            /// None; tokio's signature.
            pub fn peer_addr(&self) -> io::Result<$address> {
                self.as_ref().peer_addr()
            }
        })*
    };
    (@read $($half:ty),*) => {
        $(impl $half {
            /// Reads what is there; 0 is the end of the stream.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if nothing is there yet.
            pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.as_ref().try_read(buffer)
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.get_mut().as_ref().poll_read_shared(context, buffer)
            }
        })*
    };
    (@write $($half:ty),*) => {
        $(impl $half {
            /// Writes as much as fits.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if nothing fits.
            pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                self.as_ref().try_write(bytes)
            }
        }

        impl AsyncWrite for $half {
            fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.get_mut().as_ref().poll_write_shared(context, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.get_mut().as_ref().shutdown_write())
            }
        })*
    };
}

/// The halves of a TCP connection.
pub mod tcp {
    use std::net::SocketAddr;

    use crate::net::tokio::TcpStream;

    halves!(TcpStream, SocketAddr);
}

/// The halves of a Unix connection.
pub mod unix {
    use std::os::unix::net::SocketAddr;

    use crate::net::tokio::UnixStream;

    halves!(UnixStream, SocketAddr);
}
