//! A secret over a wire that anybody may read: TLS by tokio-rustls.
//!
//! ```text
//! cargo run --example tls
//! ```
//!
//! TLS needs no more of a socket than that bytes go in and come out. See that the client refuses a server whose
//! certificate it does not know, and what a reader of the wire would see: the host's name, and then noise.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io;
use std::sync::Arc;

use tapsock::net::Stack;
use tapsock::net::tokio::{TcpListener, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Says back what it is told, in capitals.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        match acceptor.accept(stream).await {
            Ok(mut stream) => {
                let mut said = [0; 64];
                let count = stream.read(&mut said).await?;
                stream.write_all(said[..count].to_ascii_uppercase().as_slice()).await?;
                stream.shutdown().await?;
            }
            Err(error) => println!("server: no handshake with {}: {error}", peer.ip()),
        }
    }
}

/// Calls the server, trusting this certificate and no other.
async fn ask(stack: &Stack, trusted: CertificateDer<'static>) -> Result<String, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(stack, "127.0.0.1:443".parse()?).await?;
    let mut stream =
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("tapsock.example")?, stream).await?;
    stream.write_all(b"the treasure is under the oak").await?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await?;
    Ok(heard)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stack = Stack::builder().loopback_only()?;
    let ours = rcgen::generate_simple_self_signed(["tapsock.example".to_owned()])?;
    let another = rcgen::generate_simple_self_signed(["tapsock.example".to_owned()])?;

    let key = PrivateKeyDer::try_from(ours.signing_key.serialize_der())?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![ours.cert.der().clone()], key)?;
    let listener = TcpListener::bind(&stack, "127.0.0.1:443".parse()?).await?;
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));

    println!("client: heard \"{}\"", ask(&stack, ours.cert.der().clone()).await?);
    match ask(&stack, another.cert.der().clone()).await {
        Ok(heard) => println!("client: a stranger said \"{heard}\""),
        Err(error) => println!("client: hung up on a stranger: {error}"),
    }
    Ok(())
}
