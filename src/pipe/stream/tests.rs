use std::future::poll_fn;
use std::sync::atomic::AtomicUsize;
use std::task::{Wake, Waker};
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

fn joined(joint: Joint, capacity: usize) -> (Stream, Stream, Doorbell) {
    let doorbell = Doorbell::default();
    let bells = [doorbell.bell(0), doorbell.bell(1)];
    let (a, b) = Stream::joined(joint, capacity, &Memory::new(usize::MAX), bells).unwrap();
    (a, b, doorbell)
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn of(count: &Arc<Count>) -> usize {
        count.0.load(Ordering::Relaxed)
    }
}

#[test]
fn joined_streams_ring_when_they_take_memory_and_when_they_end() {
    let (a, b, doorbell) = joined(Joint::Tcp, 1024);
    let mut rung = Vec::new();
    let mut buffer = [0; 8];
    let [left, _] = a.joined_ends().unwrap();
    for expected in [&[0][..], &[], &[]] {
        assert_eq!((a.try_write(b"x"), b.try_read(&mut buffer)), (Ok(1), Ok(1)));
        doorbell.answer(&mut rung);
        assert_eq!(rung, expected);
        left.answer();
        rung.clear();
    }
    a.shutdown_write();
    drop(b);
    doorbell.answer(&mut rung);
    assert_eq!(rung, [0, 1]);
}

#[test]
fn a_full_ring_holds_the_writer_back_until_half_of_it_is_free() {
    let (a, b, _) = joined(Joint::Tcp, 8);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    assert_eq!(a.try_write(b"1234567890"), Ok(8));
    assert!(a.poll_write(&mut context, b"9").is_pending());
    assert!(!a.readiness().writable);
    let mut buffer = [0; 3];
    assert_eq!(b.try_read(&mut buffer), Ok(3));
    assert_eq!((Count::of(&count), a.readiness().writable), (0, false));
    assert_eq!(b.try_read(&mut buffer[..1]), Ok(1));
    assert_eq!((Count::of(&count), a.readiness().writable), (1, true));
    assert_eq!(a.poll_write(&mut context, b"9"), Poll::Ready(Ok(1)));
}

#[test]
fn all_who_wait_to_read_are_woken_and_nobody_twice() {
    let (a, b, _) = joined(Joint::Unix, 64);
    let counts: Vec<_> = (0..5).map(|_| Arc::new(Count::default())).collect();
    let mut buffer = [0; 8];
    for (i, count) in counts.iter().enumerate() {
        let waker = Waker::from(Arc::clone(count));
        let mut context = Context::from_waker(&waker);
        // One of them only wants to know.
        let is_waiting = match i {
            0 => b.poll_ready(&mut context, Interest::Readable).is_pending(),
            _ => b.poll_read(&mut context, &mut buffer).is_pending(),
        };
        assert!(is_waiting);
    }
    assert_eq!((a.try_write(b"x"), a.try_write(b"y")), (Ok(1), Ok(1)));
    assert!(counts.iter().all(|count| Count::of(count) == 1));
}

#[test]
fn peeking_leaves_the_bytes_and_vectors_are_filled_in_order() {
    let (a, b, _) = joined(Joint::Tcp, 64);
    assert_eq!(a.try_write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")]), Ok(5));
    let (mut first, mut second) = ([0; 3], [0; 8]);
    assert_eq!((b.try_peek(&mut second), &second[..5]), (Ok(5), &b"abcde"[..]));
    assert_eq!(b.unread(), 5);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(b.try_read_vectored(&mut buffers), Ok(5));
    assert_eq!((&first, &second[..2]), (b"abc", &b"de"[..]));
}

#[test]
fn joined_rings_give_their_memory_back_when_they_rest() {
    let memory = Memory::new(usize::MAX);
    let doorbell = Doorbell::default();
    let (a, b) = Stream::joined(Joint::Tcp, 65_536, &memory, [doorbell.bell(0), doorbell.bell(1)]).unwrap();
    let [resting, _] = a.joined_ends().unwrap();
    assert_eq!(a.try_write(&[1; 10_000]), Ok(10_000));
    assert!(!resting.rest());
    assert_eq!(b.try_read(&mut [0; 10_000]), Ok(10_000));
    assert!(resting.rest());
    assert_eq!(memory.used(), 0);
}

#[test]
fn a_stack_that_stops_is_told_to_both_ends() {
    let (a, b, _) = joined(Joint::Tcp, 64);
    a.joined_ends().unwrap()[0].fail(Error::NetworkDown);
    let mut buffer = [0; 8];
    assert_eq!(b.try_read(&mut buffer), Err(Error::NetworkDown));
    assert_eq!(a.try_write(b"x"), Err(Error::NetworkDown));
    assert_eq!(a.try_write(b"x"), Err(Error::BrokenPipe));
}

/// Several threads write and several read, blocking, through a ring that is always full or empty.
#[test]
fn many_threads_on_both_ends_lose_and_double_nothing() {
    const EACH: usize = 20_000;
    let (a, b, _) = joined(Joint::Tcp, 64);
    let total = thread::scope(|scope| {
        let (a, b) = (Arc::new(a), &b);
        for value in 1..=3 {
            let a = Arc::clone(&a);
            scope.spawn(move || {
                let mut left = EACH;
                while left > 0 {
                    let bytes = [value; 50];
                    let bytes = &bytes[..left.min(50)];
                    left -= block_on(poll_fn(|context| a.poll_write(context, bytes)), None).unwrap().unwrap();
                }
            });
        }
        drop(a);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    let (mut sum, mut buffer) = (0, [0; 40]);
                    loop {
                        match block_on(poll_fn(|context| b.poll_read(context, &mut buffer)), None).unwrap().unwrap() {
                            0 => return sum,
                            count => sum += buffer[..count].iter().map(|&byte| usize::from(byte)).sum::<usize>(),
                        }
                    }
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<usize>()
    });
    assert_eq!(total, EACH * (1 + 2 + 3));
}
