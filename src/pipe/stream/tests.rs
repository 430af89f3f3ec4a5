use std::future::poll_fn;
use std::thread;

use super::super::Doorbell;
use super::super::wait::block_on;
use super::*;

fn pipe(capacity: usize) -> (Stream, StreamEnd) {
    Stream::new(capacity, &Memory::new(usize::MAX), Doorbell::default().bell(0)).unwrap()
}

#[test]
fn bytes_before_the_end_are_read_before_it() {
    let (application, mut stack) = pipe(8);
    stack.deliver(b"last");
    stack.end_of_stream();
    let mut buffer = [0; 8];
    assert_eq!(application.try_read(&mut buffer), Ok(4));
    assert_eq!(application.try_read(&mut buffer), Ok(0));
}

#[test]
fn a_reset_is_told_once_after_the_bytes_that_came_before_it() {
    let (application, mut stack) = pipe(8);
    stack.deliver(b"x");
    stack.fail(Error::ConnectionReset);
    let mut buffer = [0; 8];
    assert_eq!(application.try_read(&mut buffer), Ok(1));
    assert_eq!(application.try_read(&mut buffer), Err(Error::ConnectionReset));
    assert_eq!(application.try_read(&mut buffer), Ok(0));
    assert_eq!(application.try_write(b"y"), Err(Error::BrokenPipe));
}

#[test]
fn a_full_ring_holds_back_and_reading_rings_the_bell() {
    let doorbell = Doorbell::default();
    let (application, mut stack) = Stream::new(4, &Memory::new(usize::MAX), doorbell.bell(3)).unwrap();
    assert_eq!(stack.deliver(b"123456"), 4);
    let mut rung = Vec::new();
    doorbell.answer(&mut rung);
    assert!(rung.is_empty());
    let mut buffer = [0; 2];
    assert_eq!(application.try_read(&mut buffer), Ok(2));
    doorbell.answer(&mut rung);
    assert_eq!(rung, [3]);
}

#[test]
fn writing_after_shutdown_is_a_broken_pipe_and_what_was_written_stays() {
    let (application, mut stack) = pipe(8);
    assert_eq!(application.try_write(b"abc"), Ok(3));
    application.shutdown_write();
    assert_eq!(application.try_write(b"d"), Err(Error::BrokenPipe));
    assert!(stack.is_writing_over());
    assert!(!stack.is_dropped());
    let mut buffer = [0; 8];
    assert_eq!(stack.take(&mut buffer), 3);
    drop(application);
    assert!(stack.is_dropped());
}

#[test]
fn empty_rings_give_their_memory_back_and_full_ones_keep_it() {
    let memory = Memory::new(usize::MAX);
    let (application, mut stack) = Stream::new(65_536, &memory, Doorbell::default().bell(0)).unwrap();
    let mut buffer = [0; 10_000];
    assert_eq!(stack.deliver(&[1; 10_000]), 10_000);
    assert_eq!(application.try_write(&[2; 5000]), Ok(5000));
    assert!(!stack.rest());
    assert_eq!(memory.used(), 12_288 + 8192);
    assert_eq!(stack.take(&mut buffer), 5000);
    assert!(!stack.rest());
    assert_eq!(memory.used(), 12_288);
    assert_eq!((application.try_read(&mut buffer), buffer), (Ok(10_000), [1; 10_000]));
    assert!(stack.rest());
    assert_eq!(memory.used(), 0);
    // And go on where they were.
    assert_eq!(application.try_write(b"again"), Ok(5));
    assert_eq!((stack.take(&mut buffer), &buffer[..5]), (5, &b"again"[..]));
}

#[test]
fn two_threads_move_bytes_exactly() {
    const TOTAL: usize = 1 << 20;
    let (application, mut stack) = pipe(4096);
    let writer = thread::spawn(move || {
        let mut sent = 0;
        while sent < TOTAL {
            let chunk: Vec<u8> = (sent..TOTAL.min(sent + 1000)).map(|i| (i % 251) as u8).collect();
            let count = block_on(poll_fn(|context| application.poll_write(context, &chunk)), None).unwrap().unwrap();
            sent += count;
        }
    });
    let mut received = 0;
    let mut buffer = [0; 700];
    while received < TOTAL {
        let count = stack.take(&mut buffer);
        for (i, &byte) in buffer[..count].iter().enumerate() {
            assert_eq!(byte, ((received + i) % 251) as u8);
        }
        received += count;
        if count == 0 {
            thread::yield_now();
        }
    }
    writer.join().unwrap();
}
