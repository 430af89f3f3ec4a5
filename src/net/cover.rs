//! What covers of a [`Socket`](super::Socket) have in common: handles, waiting, bytes, hops.

/// Every cover: another handle, non-blocking mode, SO_ERROR, and the way to a `Socket` and back.
macro_rules! handle {
    ($name:ident) => {
        impl $name {
            /// Another handle of the same socket: it is closed when the last one is dropped.
            ///
            /// # Errors
            ///
            /// None; std's signature.
            pub fn try_clone(&self) -> io::Result<$name> {
                self.0.try_clone().map($name)
            }

            /// Whether calls return at once instead of waiting.
            ///
            /// # Errors
            ///
            /// None; std's signature.
            pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                self.0.set_nonblocking(nonblocking)
            }

            /// SO_ERROR: what it is to be told, such as an ICMP error that it caused, if nobody was told yet. Asking
            /// takes it.
            ///
            /// # Errors
            ///
            /// None; std's signature.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.0.take_error()
            }
        }

        impl AsRef<Socket> for $name {
            fn as_ref(&self) -> &Socket {
                &self.0
            }
        }

        impl From<Socket> for $name {
            fn from(socket: Socket) -> $name {
                $name(socket)
            }
        }

        impl From<$name> for Socket {
            fn from(socket: $name) -> Socket {
                socket.0
            }
        }
    };
}

/// What is read and written: how long that may take.
macro_rules! timeouts {
    ($name:ident) => {
        impl $name {
            /// How long receiving waits (SO_RCVTIMEO); `None`: for ever.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for a zero duration.
            pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.0.set_read_timeout(timeout)
            }

            /// How long sending waits (SO_SNDTIMEO); `None`: for ever.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for a zero duration.
            pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.0.set_write_timeout(timeout)
            }

            /// How long receiving waits.
            ///
            /// # Errors
            ///
            /// None; std's signature.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                self.0.read_timeout()
            }

            /// How long sending waits.
            ///
            /// # Errors
            ///
            /// None; std's signature.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                self.0.write_timeout()
            }
        }
    };
}

/// What is of the internet: how many routers its packets pass.
macro_rules! hops {
    ($name:ident) => {
        impl $name {
            /// How many routers its packets pass (IP_TTL), at first 64; of an IPv6 socket also those to IPv6 peers
            /// (IPV6_UNICAST_HOPS).
            ///
            /// # Errors
            ///
            /// `InvalidInput` if it is not from 1 to 255; `NetworkDown` if the stack has stopped.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                self.0.set_hops(ttl)
            }

            /// How many routers its packets pass.
            ///
            /// # Errors
            ///
            /// `NetworkDown` if the stack has stopped.
            pub fn ttl(&self) -> io::Result<u32> {
                self.0.hops()
            }
        }
    };
}

/// A stream of bytes, which may be read and written by several threads through `&`.
macro_rules! read_write {
    ($name:ident) => {
        impl Read for &$name {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.recv(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.0.recv_vectored(buffers)
            }
        }

        impl Write for &$name {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.0.send(buffer)
            }

            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                self.0.send_vectored(buffers)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Read for $name {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        impl Write for $name {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                (&*self).write(buffer)
            }

            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(buffers)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

pub(super) use {handle, hops, read_write, timeouts};

#[cfg(test)]
mod tests;
