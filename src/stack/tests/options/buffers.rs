//! SO_RCVBUF and SO_SNDBUF.

use super::*;

#[test]
fn buffers_are_read_back_doubled_and_within_the_limits() {
    use SocketOption as O;
    let mut net = Net::new();
    let tcp = open(&mut net, Domain::Inet, Kind::Tcp);
    let udp = open(&mut net, Domain::Inet, Kind::Udp);
    assert_eq!(get(&mut net, udp, OptionName::ReceiveBuffer), Ok(O::ReceiveBuffer(212_992)), "as on Linux");
    for (socket, set_to, read) in [
        (tcp, O::ReceiveBuffer(4096), O::ReceiveBuffer(8192)),
        (tcp, O::SendBuffer(4096), O::SendBuffer(8192)),
        (udp, O::ReceiveBuffer(4096), O::ReceiveBuffer(8192)),
        (tcp, O::ReceiveBuffer(0), O::ReceiveBuffer(2304)),
        (udp, O::SendBuffer(1), O::SendBuffer(4608)),
        (tcp, O::ReceiveBuffer(usize::MAX), O::ReceiveBuffer(131_070)),
        (tcp, O::SendBuffer(1 << 30), O::SendBuffer(512 * 1024)),
        (udp, O::ReceiveBuffer(1 << 30), O::ReceiveBuffer(425_984)),
    ] {
        set(&mut net, socket, set_to).unwrap();
        assert_eq!(get(&mut net, socket, set_to.name()), Ok(read), "{set_to:?}");
    }
}

/// How many bytes B gets rid of towards a program of A that does not read.
fn stuck(net: &mut Net, b: &StreamSocket) -> usize {
    let mut written = 0;
    loop {
        let before = written;
        while let Ok(count) = b.pipe.try_write(&[7; 4096]) {
            written += count;
        }
        net.run(Duration::from_secs(2));
        if written == before {
            return written;
        }
    }
}

#[test]
fn a_small_receive_buffer_bounds_the_window_and_what_waits_and_everything_still_arrives() {
    for before in [true, false] {
        let mut net = Net::new();
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        let small = SocketOption::ReceiveBuffer(4096);
        if before {
            set(&mut net, socket, small).unwrap();
        }
        let listener = listen(&mut net, socket, at(A, 80));
        let b = net.connect_b(at(A, 80)).unwrap();
        net.settle();
        let a = listener.queue.try_accept().unwrap();
        set(&mut net, a.handle, small).unwrap();
        let written = stuck(&mut net, &b);
        let Ok(Outcome::Info(info)) = net.call_b(Verb::Info { socket: b.handle }) else { panic!() };
        let taken = info.summary.bytes_out as usize - info.send_queue;
        // In the ring of the connection, which was made before it was told, and in the pipe.
        let most = if before { 2 * 4096 } else { 65_535 + 4096 };
        assert!(taken <= most && taken > most / 2, "{taken} of {most}");
        let mut read = 0;
        let mut buffer = [0; 4096];
        // No slower than the reader, who makes room four times in a second.
        for _ in 0..written / 4096 + 20 {
            while let Ok(count) = a.pipe.try_read(&mut buffer) {
                read += count;
            }
            net.run(Duration::from_millis(250));
        }
        assert_eq!(read, written);
    }
}

#[test]
fn a_small_send_buffer_bounds_what_waits_to_be_acknowledged() {
    for before in [true, false] {
        let mut net = Net::new();
        let Ok(Outcome::Listener(there)) =
            net.call_b(Verb::OpenListener { local: at(B, 80), backlog: 1, v6_only: true })
        else {
            panic!()
        };
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        let small = SocketOption::SendBuffer(8192);
        if before {
            set(&mut net, socket, small).unwrap();
        }
        let a = connect(&mut net, socket, at(B, 80));
        net.settle();
        set(&mut net, socket, small).unwrap();
        let b = there.queue.try_accept().unwrap();
        let mut written = 0;
        let mut received = 0;
        for _ in 0..100 {
            while let Ok(count) = a.try_write(&[7; 4096]) {
                written += count;
            }
            net.settle();
            let Ok(Outcome::Info(info)) = net.call_a(Verb::Info { socket }) else { panic!() };
            assert!(info.send_queue <= 8192, "{}", info.send_queue);
            net.run(Duration::from_millis(20));
            let mut buffer = [0; 65_536];
            while let Ok(count) = b.pipe.try_read(&mut buffer) {
                received += count;
            }
        }
        assert!(received > 100_000 && written >= received);
    }
}
