//! What `axum::serve` asks of a listener.

use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;

use super::{TcpListener, TcpStream};

impl Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match TcpListener::accept(self).await {
            Ok(accepted) => accepted,
            // The stack has stopped: nobody will come any more, and the trait has no way to say so.
            Err(error) => {
                log::info!("no more connections for axum: {error}");
                std::future::pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}
