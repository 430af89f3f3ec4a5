//! The async twins, and what happens when the stack stops.

use tapsock::error::Error;
use tapsock::net::{self, Stack, tokio::UnixDatagram, tokio::UnixListener, tokio::UnixStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::fails;

fn stack() -> Stack {
    Stack::builder().loopback_only().unwrap()
}

#[tokio::test]
async fn a_server_of_streams_answers_many_clients() {
    let stack = stack();
    let listener = UnixListener::bind(&stack, "/echo").await.unwrap();
    let server = tokio::spawn(async move {
        for _ in 0..300 {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(&mut stream);
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            });
        }
    });
    let clients: Vec<_> = (0..300u32)
        .map(|number| {
            let stack = stack.clone();
            tokio::spawn(async move {
                let mut stream = UnixStream::connect(&stack, "/echo").await.unwrap();
                let said = vec![number as u8; 100_000];
                let (mut reader, mut writer) = tokio::io::split(&mut stream);
                let mut heard = Vec::new();
                let speak = async {
                    writer.write_all(&said).await.unwrap();
                    writer.shutdown().await.unwrap();
                };
                let (_, count) = tokio::join!(speak, reader.read_to_end(&mut heard));
                assert_eq!((count.unwrap(), heard == said), (100_000, true));
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    server.await.unwrap();
}

#[tokio::test]
async fn messages_go_to_a_name_and_back() {
    let stack = stack();
    let server = UnixDatagram::bind(&stack, "/server").await.unwrap();
    let client = UnixDatagram::bind(&stack, "/client").await.unwrap();
    let mut buffer = [0; 16];
    client.send_to(b"question", "/server").await.unwrap();
    let (count, from) = server.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"question");
    server.send_to(b"answer", from.as_pathname().unwrap()).await.unwrap();
    assert_eq!(client.recv(&mut buffer).await.unwrap(), 6);
    client.connect("/server").await.unwrap();
    assert_eq!(client.peer_addr().unwrap().as_pathname().unwrap().to_str(), Some("/server"));
    let (left, right) = UnixDatagram::pair(&stack).await.unwrap();
    left.send(b"pair").await.unwrap();
    assert_eq!(right.recv(&mut buffer).await.unwrap(), 4);
}

#[tokio::test]
async fn a_sender_whose_buffer_is_full_waits_and_who_gives_up_leaves_no_trace() {
    let stack = stack();
    let (left, right) = UnixDatagram::pair(&stack).await.unwrap();
    let patience = std::time::Duration::from_millis(30);
    let mut sent = 0;
    while tokio::time::timeout(patience, left.send(b"x")).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "there is a bound");
    }
    let late = tokio::spawn(async move {
        left.send(b"late").await.unwrap();
        left
    });
    for _ in 0..sent {
        assert_eq!(right.recv(&mut [0; 9]).await.unwrap(), 1);
    }
    assert_eq!(right.recv(&mut [0; 9]).await.unwrap(), 4, "and not what was given up");
    late.await.unwrap();
}

#[tokio::test]
async fn whoever_gives_up_connecting_leaves_the_queue_as_it_was() {
    let stack = stack();
    let listener = net::UnixListener::bind(&stack, "/server").unwrap();
    net::Socket::from(listener.try_clone().unwrap()).listen(0).unwrap();
    let first = UnixStream::connect(&stack, "/server").await.unwrap();
    let patience = std::time::Duration::from_millis(30);
    assert!(tokio::time::timeout(patience, UnixStream::connect(&stack, "/server")).await.is_err());
    listener.accept().unwrap();
    let third = UnixStream::connect(&stack, "/server").await.unwrap();
    listener.set_nonblocking(true).unwrap();
    listener.accept().unwrap();
    assert!(listener.accept().is_err(), "who gave up is not there");
    drop((first, third));
}

#[test]
fn when_the_stack_stops_everybody_is_told() {
    let stack = stack();
    let listener = net::UnixListener::bind(&stack, "/server").unwrap();
    let dgram = net::UnixDatagram::bind(&stack, "/dgram").unwrap();
    let (left, right) = net::UnixStream::pair(&stack).unwrap();
    let other = stack.clone();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept());
        let receiving = scope.spawn(|| dgram.recv(&mut [0]));
        let reading = scope.spawn(|| std::io::Read::read(&mut &left, &mut [0]));
        std::thread::sleep(super::world::SILENCE);
        other.shut_down();
        fails(accepting.join().unwrap(), Error::NetworkDown);
        fails(receiving.join().unwrap(), Error::NetworkDown);
        fails(reading.join().unwrap(), Error::NetworkDown);
    });
    fails(net::UnixStream::pair(&stack), Error::NetworkDown);
    drop(right);
}
