use super::super::{Doorbell, MOST_DATAGRAMS};
use super::*;

fn memory() -> Memory {
    Memory::new(usize::MAX)
}

#[test]
fn datagrams_keep_their_boundaries_and_their_addresses() {
    let (application, stack) = Datagrams::new(1024, &memory(), Doorbell::default().bell(0));
    let peer = "192.0.2.1:9".parse().unwrap();
    let local = "192.0.2.2".parse().unwrap();
    assert!(stack.deliver(b"one", peer, local));
    assert!(stack.deliver(b"", peer, local));
    let mut buffer = [0; 2];
    assert_eq!(application.try_receive(&mut buffer), Ok((2, peer, Some(local))));
    assert_eq!(application.try_receive(&mut buffer), Ok((0, peer, Some(local))));
    assert_eq!(application.try_receive(&mut buffer), Err(Error::WouldBlock));
    assert_eq!(application.try_send(&[0; 961], peer, None), Err(Error::MessageTooLong));
    assert_eq!(application.try_send(b"two", peer, None), Ok(()));
    assert_eq!(stack.take(|bytes, to, _| (bytes.to_vec(), to)), Some((b"two".to_vec(), peer)));
    stack.fail(Error::ConnectionRefused);
    assert_eq!(application.try_receive(&mut buffer), Err(Error::ConnectionRefused));
    assert_eq!(application.try_receive(&mut buffer), Err(Error::WouldBlock));
}

#[test]
fn the_longest_datagrams_of_both_families_can_be_sent_and_longer_ones_cannot() {
    let (application, stack) = Datagrams::new(208 * 1024, &memory(), Doorbell::default().bell(0));
    for (peer, longest) in [("192.0.2.1:9", 65_507), ("[fd69::1]:9", 65_527)] {
        let peer = peer.parse().unwrap();
        assert_eq!(application.try_send(&vec![0; longest + 1], peer, None), Err(Error::MessageTooLong));
        assert_eq!(application.try_send(&vec![0; longest], peer, None), Ok(()));
        assert_eq!(stack.take(|bytes, _, _| bytes.len()), Some(longest));
    }
}

#[test]
fn a_queue_is_bounded_in_bytes_and_in_datagrams() {
    let peer = "192.0.2.1:9".parse().unwrap();
    let (application, stack) = Datagrams::new(10_000, &memory(), Doorbell::default().bell(0));
    let sent = (0..1000).filter(|_| application.try_send(&[0; 936], peer, None).is_ok()).count();
    assert_eq!(sent, 10);
    assert_eq!(stack.take(|_, _, _| ()), Some(()));
    assert_eq!(application.try_send(&[0; 936], peer, None), Ok(()), "there is room again");
    let (_application, stack) = Datagrams::new(1 << 20, &memory(), Doorbell::default().bell(0));
    let delivered = (0..1000).filter(|_| stack.deliver(b"", peer, peer.ip())).count();
    assert_eq!(delivered, MOST_DATAGRAMS);
}

#[test]
fn a_message_longer_than_the_buffer_says_how_long_it_was() {
    let doorbell = Doorbell::default();
    let (a, b) = Datagrams::joined(4096, &memory(), [doorbell.bell(0), doorbell.bell(1)]);
    let mut buffer = [0; 3];
    assert_eq!(a.try_send_message(&[IoSlice::new(b"he"), IoSlice::new(b"llo")], 7), Ok(()));
    let expected = Received { count: 3, length: 5, addresses: 7 };
    for peek in [true, false] {
        assert_eq!(b.try_receive_message(&mut [IoSliceMut::new(&mut buffer)], peek), Ok(Some(expected)));
        assert_eq!(&buffer, b"hel");
    }
    assert_eq!(b.try_receive_message(&mut [IoSliceMut::new(&mut buffer)], false), Err(Error::WouldBlock));
}

/// What the kernel does with a pair of SOCK_SEQPACKET, as measured.
#[test]
fn joined_messages_end_as_the_kernels_do() {
    let doorbell = Doorbell::default();
    let pair = || Datagrams::joined(4096, &memory(), [doorbell.bell(0), doorbell.bell(1)]);
    let send = |end: &Datagrams<()>| end.try_send_message(&[IoSlice::new(b"x")], ());
    let receive = |end: &Datagrams<()>| {
        end.try_receive_message(&mut [IoSliceMut::new(&mut [0; 8])], false).map(|got| got.map(|got| got.length))
    };
    let (a, b) = pair();
    assert_eq!(send(&b), Ok(()));
    drop(b);
    assert_eq!((send(&a), receive(&a), receive(&a)), (Err(Error::BrokenPipe), Ok(Some(1)), Ok(None)));
    let (a, b) = pair();
    assert_eq!((send(&a), send(&b)), (Ok(()), Ok(())));
    drop(b);
    assert!(a.readiness().error && a.readiness().hang_up);
    assert_eq!(receive(&a), Err(Error::ConnectionReset), "before what waits");
    assert_eq!((receive(&a), receive(&a), send(&a)), (Ok(Some(1)), Ok(None), Err(Error::BrokenPipe)));
    let (a, b) = pair();
    b.shutdown_read();
    assert_eq!((send(&a), send(&b), receive(&a)), (Err(Error::BrokenPipe), Ok(()), Ok(Some(1))));
    a.shutdown_write();
    assert_eq!(receive(&b), Ok(None));
}

#[test]
fn a_datagram_can_be_handed_on_with_its_memory() {
    let doorbell = Doorbell::default();
    let (sender, from) = Datagrams::new(4096, &memory(), doorbell.bell(0));
    let (receiver, to) = Datagrams::new(1100, &memory(), doorbell.bell(1));
    let addresses = Addresses { peer: "127.0.0.1:9".parse().unwrap(), local: None, header: None };
    for _ in 0..2 {
        assert_eq!(sender.try_send(&[7; 1000], addresses.peer, None), Ok(()));
    }
    let (bytes, _) = from.take_owned().unwrap();
    let place = bytes.as_ptr();
    assert_eq!(to.deliver_owned(bytes, addresses), Ok(()));
    let (bytes, _) = from.take_owned().unwrap();
    let bytes = to.deliver_owned(bytes, addresses).unwrap_err();
    from.give_back(bytes, addresses);
    let mut rung = Vec::new();
    doorbell.answer(&mut rung);
    rung.clear();
    let queue = &receiver.link.incoming(receiver.side).queue;
    assert_eq!(lock(queue).datagrams[0].1.as_ptr(), place, "it was not copied");
    assert_eq!(receiver.try_receive(&mut [0; 1000]).map(|got| got.0), Ok(1000));
    doorbell.answer(&mut rung);
    assert_eq!(rung, [1], "there is room again");
    assert_eq!(from.take_owned().map(|(bytes, _)| bytes.len()), Some(1000));
}

#[test]
fn what_waits_is_counted_and_at_the_limit_one_datagram_goes_at_a_time() {
    let peer = "192.0.2.1:9".parse().unwrap();
    let memory = Memory::new(10_000);
    let (application, stack) = Datagrams::new(208 * 1024, &memory, Doorbell::default().bell(0));
    let sent = (0..100).filter(|_| application.try_send(&[0; 936], peer, None).is_ok()).count();
    assert_eq!((sent, memory.used()), (10, 10_000));
    assert!(stack.deliver(&[0; 36], peer, peer.ip()), "it was let in by somebody else");
    assert_eq!(memory.used(), 10_100);
    while stack.take(|_, _, _| ()).is_some() {}
    let mut other = memory.account();
    other.set(10_000);
    assert_eq!(application.try_send(&[0; 936], peer, None), Ok(()));
    assert_eq!(application.try_send(&[0; 936], peer, None), Err(Error::WouldBlock));
    drop((application, stack, other));
    assert_eq!(memory.used(), 0);
}
