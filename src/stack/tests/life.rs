use super::*;

#[test]
fn a_stack_with_nothing_to_do_has_no_deadline() {
    let mut net = Net::new();
    let _listener = net.listen_a(at("0.0.0.0", 80), 16);
    let _socket = net.bind_a(at("0.0.0.0", 7));
    let (a, b) = {
        let b = net.connect_b(at(A, 80)).unwrap();
        net.settle();
        let a = _listener.queue.try_accept().unwrap();
        (a, b)
    };
    b.pipe.try_write(b"x").unwrap();
    net.run(Duration::from_secs(120));
    assert_eq!(net.a.deadline, None, "an idle connection arms nothing");
    drop((a, b));
    net.run(Duration::from_secs(120));
    assert_eq!((net.a.deadline, net.b.deadline), (None, None));
}

#[test]
fn an_address_is_asked_about_before_it_is_used() {
    let probing = Config { probe: Duration::from_secs(1), ..config_a() };
    let mut net = Net::with(FaultConfig::default(), probing, config_b());
    assert!(!net.a.stack.is_ready());
    assert!(net.b.stack.is_ready());
    net.run(Duration::from_secs(2));
    assert!(net.a.stack.is_ready());
    assert!(net.a.stack.duplicates().is_empty());
}

#[test]
fn an_address_that_somebody_has_is_not_used() {
    let taken = Config {
        addresses: vec![format!("{B}/24").parse().unwrap(), format!("{A6}/64").parse().unwrap()],
        probe: Duration::from_secs(1),
        ..config_a()
    };
    let mut net = Net::with(FaultConfig::default(), taken, config_b());
    net.run(Duration::from_secs(3));
    let owner = config_b().mac;
    assert_eq!(net.a.stack.duplicates(), [(B.parse().unwrap(), owner)]);
}

#[test]
fn shutting_down_resets_connections_and_tells_every_program() {
    let mut net = Net::new();
    let (a, b, listener) = net.connected();
    let mut out = Frames::new();
    let now = net.now;
    net.a.stack.shut_down(now, &mut out, &mut net.a.seen);
    for (frame, _) in out.iter() {
        net.a.device.transmit(now, frame, Offload::None).unwrap();
    }
    net.b.round(now);
    use crate::error::Error;
    assert_eq!(b.pipe.try_read(&mut [0; 8]), Err(Error::ConnectionReset));
    assert_eq!(a.pipe.try_read(&mut [0; 8]), Err(Error::NetworkDown));
    assert_eq!(listener.queue.try_accept().unwrap_err(), Error::NetworkDown);
}

#[test]
fn a_handshake_that_is_under_way_when_the_stack_stops_ends_in_a_reset() {
    use crate::error::Error;
    let mut net = Net::new();
    let _listener = net.listen_a(at("0.0.0.0", 80), 16);
    drop(net.connect_b(at(A, 80)));
    net.run(Duration::from_secs(20));
    // B's final ACK is lost: B believes in the connection, A has a SYN entry only.
    let ticket = net.b.begin(Verb::OpenStream { local: None, remote: at(A, 80) });
    let now = net.now;
    net.b.round(now);
    net.a.round(now);
    net.b.round(now);
    let Some(Ok(Outcome::Stream(stream))) = net.b.finished(ticket) else { panic!("B is connected") };
    let mut out = Frames::new();
    net.a.stack.shut_down(now, &mut out, &mut net.a.seen);
    for (frame, _) in out.iter() {
        net.a.device.transmit(now, frame, Offload::None).unwrap();
    }
    net.b.round(now);
    assert_eq!(stream.pipe.try_read(&mut [0; 8]), Err(Error::ConnectionReset));
}

#[test]
fn the_limit_on_sockets_refuses_the_newcomer_and_keeps_the_rest() {
    let mut config = config_a();
    config.limits.sockets = 2;
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let _first = net.connect_b(at(A, 80)).unwrap();
    let second = net.b.begin(Verb::OpenStream { local: None, remote: at(A, 80) });
    net.run(Duration::from_millis(500));
    net.settle();
    assert!(listener.queue.try_accept().is_ok());
    assert!(listener.queue.try_accept().is_err());
    assert!(net.a.stack.counters().of(crate::observe::Rule::TcpSocketLimit) > 0 || net.b.finished(second).is_none());
}
