use super::*;

/// What a message costs its sender besides its bytes.
const OVERHEAD: usize = 576;

fn mailbox(number: u64, capacity: usize) -> Mailbox<u8> {
    Mailbox::new(number, capacity, &Memory::new(usize::MAX))
}

fn send(from: &Mailbox<u8>, to: &MailSlot<u8>, bytes: &[u8]) -> Result<()> {
    from.try_send(to, &[IoSlice::new(bytes)], 7)
}

fn receive(mailbox: &Mailbox<u8>, room: usize) -> Result<Option<Received<u8>>> {
    mailbox.try_receive(&mut [IoSliceMut::new(&mut vec![0; room])], false)
}

#[test]
fn messages_of_many_senders_come_in_order_and_whole() {
    let [one, two, receiver] = [1, 2, 3].map(|number| mailbox(number, 1024));
    send(&one, &receiver.slot(), b"one").unwrap();
    send(&two, &receiver.slot(), b"").unwrap();
    assert_eq!(receive(&receiver, 2), Ok(Some(Received { count: 2, length: 3, addresses: 7 })));
    assert_eq!(receive(&receiver, 2), Ok(Some(Received { count: 0, length: 0, addresses: 7 })));
    assert_eq!(receive(&receiver, 2), Err(Error::WouldBlock));
}

#[test]
fn who_is_not_heard_is_refused_and_who_is_gone_refuses() {
    let [one, two, receiver] = [1, 2, 3].map(|number| mailbox(number, 100_000));
    let slot = receiver.slot();
    slot.hear_only(Some(1));
    assert_eq!(send(&one, &slot, b"x"), Ok(()));
    assert_eq!(send(&two, &slot, b"x"), Err(Error::NotPermitted));
    slot.hear_only(None);
    assert_eq!(send(&two, &slot, b"x"), Ok(()));
    receiver.shutdown_read();
    assert_eq!(send(&one, &slot, b"x"), Err(Error::BrokenPipe));
    assert!(receive(&receiver, 1).is_ok_and(|message| message.is_some()));
    drop(receiver);
    assert_eq!(send(&one, &slot, b"x"), Err(Error::ConnectionRefused));
}

#[test]
fn a_sender_has_one_budget_for_all_whom_it_sends_to() {
    let [sender, other, first, second] = [1, 2, 3, 4].map(|number| mailbox(number, 4 * (OVERHEAD + 100)));
    for slot in [first.slot(), second.slot(), first.slot(), second.slot()] {
        assert_eq!((send(&sender, &slot, &[0; 100]), sender.is_over()), (Ok(()), false));
    }
    for slot in [first.slot(), second.slot()] {
        assert_eq!(send(&sender, &slot, b""), Err(Error::WouldBlock));
        assert_eq!(send(&other, &slot, b""), Ok(()), "others have budgets of their own");
    }
    receive(&first, 1).unwrap();
    assert!(!sender.is_writable(None), "not before three quarters are free");
    assert_eq!(send(&sender, &second.slot(), b""), Ok(()), "but one may try");
    receive(&first, 1).unwrap();
    drop(second);
    assert!(sender.is_writable(Some(&first.slot())));
    assert_eq!(send(&sender, &first.slot(), &[0; 4 * (OVERHEAD + 100) - 31]), Err(Error::MessageTooLong));
    sender.set_send_capacity(4 * (OVERHEAD + 100) + 1);
    assert_eq!(send(&sender, &first.slot(), &[0; 4 * (OVERHEAD + 100) - 31]), Ok(()));
    assert!(first.slot().clear());
    assert!(sender.is_writable(None));
}

#[test]
fn whom_a_mailbox_hears_alone_only_its_budget_holds_back() {
    let [friend, receiver] = [1, 2].map(|number| mailbox(number, 3 * OVERHEAD));
    for others in 3..300 {
        let sent = send(&mailbox(others, 1024), &receiver.slot(), b"x");
        assert_eq!(sent.is_ok(), others < 3 + (3 * 576_u64).div_ceil(65), "{others}: {sent:?}");
    }
    assert!(!friend.is_writable(Some(&receiver.slot())));
    receiver.slot().hear_only(Some(1));
    assert!(friend.is_writable(Some(&receiver.slot())));
    assert_eq!(send(&friend, &receiver.slot(), b"x"), Ok(()));
    assert_eq!(send(&receiver, &receiver.slot(), b"to itself"), Err(Error::NotPermitted));
    receiver.slot().hear_only(None);
    assert_eq!(send(&receiver, &receiver.slot(), b"to itself"), Ok(()));
}

#[test]
fn who_sends_nothing_more_says_so_after_what_it_is_told() {
    let [sender, receiver] = [1, 2].map(|number| mailbox(number, 4096));
    sender.shutdown_write();
    assert_eq!(sender.try_room(4065), Err(Error::MessageTooLong));
    sender.slot().fail(Error::ConnectionReset);
    assert_eq!(send(&sender, &receiver.slot(), b"x"), Err(Error::ConnectionReset));
    assert_eq!(send(&sender, &receiver.slot(), b"x"), Err(Error::BrokenPipe));
    assert!(!sender.is_over());
    sender.shutdown_read();
    assert!(sender.is_over());
}

#[test]
fn messages_that_wait_are_counted() {
    let memory = Memory::new(10_000);
    let [sender, receiver] = [1, 2].map(|number| Mailbox::new(number, 100_000, &memory));
    let slot = receiver.slot();
    assert_eq!(send(&sender, &slot, &[0; 20_000]), Ok(()), "the first may go beyond the limit");
    assert!((20_000..21_000).contains(&memory.used()));
    assert_eq!((send(&sender, &slot, b""), sender.is_writable(Some(&slot))), (Err(Error::WouldBlock), false));
    assert!(slot.clear());
    assert_eq!((memory.used(), send(&sender, &slot, &[0; 5])), (0, Ok(())));
    drop(receiver);
    assert_eq!(memory.used(), 0, "though a slot is left");
}
