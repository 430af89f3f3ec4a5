//! WebSocket by tokio-tungstenite: messages over a stream of bytes.
//!
//! ```text
//! cargo run --example websocket
//! ```
//!
//! TCP knows no messages: what was written at once may be read in pieces. A protocol on top draws the lines. See that
//! each message arrives as it was sent, the long one too, and that both sides say goodbye.
#![allow(clippy::print_stdout)]

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use tapsock::net::Stack;
use tapsock::net::tokio::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{accept_async, client_async};

/// Sends every message back.
async fn serve(listener: TcpListener) -> Result<(), tungstenite::Error> {
    let (stream, _peer) = listener.accept().await?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    println!("server: the client has said goodbye");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stack = Stack::builder().loopback_only()?;
    let listener = TcpListener::bind(&stack, "127.0.0.1:9001".parse()?).await?;
    let server = tokio::spawn(serve(listener));

    let stream = TcpStream::connect(&stack, "127.0.0.1:9001".parse()?).await?;
    let (mut socket, response) = client_async("ws://localhost:9001/chat", stream).await?;
    println!("client: {}", response.status());
    for message in [Message::text("hello"), Message::text(""), Message::binary(vec![42; 1_000_000])] {
        socket.send(message.clone()).await?;
        let heard = socket.next().await.ok_or("the server hung up")??;
        let same = if heard == message { "the same" } else { "another" };
        println!("client: sent {} bytes, and {same} {} came back", message.len(), heard.len());
    }
    socket.close(None).await?;
    while socket.next().await.is_some() {}
    server.await??;
    Ok(())
}
