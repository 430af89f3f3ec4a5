//! A web server by axum, on a TCP/IP stack that lives in this program.
//!
//! ```text
//! cargo run --features axum --example http_axum            # by itself: it asks and answers
//! cargo run --features axum --example http_axum -- tap0    # on a TAP: curl http://192.168.69.1:8080/
//! ```
//!
//! See that axum takes the listener as it is: nothing in it knows that the kernel's sockets are not used.
#![allow(clippy::print_stdout)]

use std::error::Error;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tapsock::net::Stack;
use tapsock::net::tokio::{TcpListener, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let tap = std::env::args().nth(1);
    let stack = match &tap {
        Some(tap) => Stack::builder().tap(tap)?,
        None => Stack::builder().loopback_only()?,
    };
    stack.ready().await?;

    let app = Router::new()
        .route("/", get(|| async { "Hello from axum on tapsock\n" }))
        .route("/greet/{name}", get(|Path(name): Path<String>| async move { format!("Good day, {name}!\n") }));
    let listener = TcpListener::bind(&stack, "0.0.0.0:8080".parse()?).await?;
    println!("waiting at http://{}/", listener.local_addr()?);
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    if tap.is_some() {
        return Ok(server.await??);
    }

    for path in ["/", "/greet/Ann", "/nowhere"] {
        let mut stream = TcpStream::connect(&stack, "127.0.0.1:8080".parse()?).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (status, body) = (answer.lines().next().unwrap_or(""), answer.lines().last().unwrap_or(""));
        println!("GET {path}: {status}: {body}");
    }
    Ok(())
}
