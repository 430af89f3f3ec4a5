//! From a listener to one task for each connection.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::net::tokio::{TcpListener, TcpStream};

/// How long a service that has said everything waits for the peer to finish.
const LINGER: Duration = Duration::from_secs(5);

/// Serves connections until the stack stops, each in a task of its own and holding one of `permits`.
pub(super) async fn serve<F>(listener: TcpListener, permits: Arc<Semaphore>, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else { return };
        let serving = serve(stream);
        tokio::spawn(async move {
            // How a connection ends is the stack's story, and the trace tells it.
            let _ = serving.await;
            drop(permit);
        });
    }
}

/// Ends a connection gently: FIN, and what still comes is read before the socket is dropped. Unread bytes would
/// turn the close into a RST, which can take away what the peer has not read yet (RFC 9293 §3.10.4).
pub(super) async fn say_goodbye(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    let drain = async {
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::time::timeout(LINGER, drain).await.unwrap_or(Ok(()))
}
