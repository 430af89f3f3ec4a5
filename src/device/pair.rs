//! Two devices in memory: what one end transmits, the other receives.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::{Device, HEADER, Offload};
use crate::observe::Time;

/// How many frames may wait in each direction; an end that is that far ahead is told that the device is full.
pub const CAPACITY: usize = 1024;

/// Makes two linked devices that carry IP packets of up to `mtu` bytes. The ends may live on two threads.
///
/// ```
/// use tapsock::device::{Device, Offload, pair};
/// use tapsock::observe::Time;
/// let (mut left, mut right) = pair(1500);
/// left.transmit(Time::ZERO, b"a frame", Offload::None)?;
/// let mut frame = [0; 1514];
/// let (length, _) = right.receive(Time::ZERO, &mut frame)?.expect("a frame");
/// assert_eq!(&frame[..length], b"a frame");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn pair(mtu: usize) -> (End, End) {
    let (one, other) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
    (End { mtu, inbox: Arc::clone(&one), outbox: Arc::clone(&other) }, End { mtu, inbox: other, outbox: one })
}

/// One of two linked devices.
#[derive(Debug)]
pub struct End {
    mtu: usize,
    inbox: Arc<Queue>,
    outbox: Arc<Queue>,
}

/// One direction.
#[derive(Debug, Default)]
struct Queue(Mutex<Lane>);

#[derive(Debug, Default)]
struct Lane {
    frames: VecDeque<(Vec<u8>, Offload)>,
    /// Buffers of frames that were received, for the next ones.
    spare: Vec<Vec<u8>>,
    waker: Option<Waker>,
    /// The receiving end is gone: as with a pulled cable, frames leave and arrive nowhere.
    unplugged: bool,
}

impl Queue {
    /// A thread that panicked while it held the lock left whole frames behind: nothing here is ever half done.
    fn lock(&self) -> MutexGuard<'_, Lane> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for End {
    fn receive(&mut self, _now: Time, frame: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        let mut lane = self.inbox.lock();
        let Some((bytes, offload)) = lane.frames.pop_front() else { return Ok(None) };
        // As a TAP does, what does not fit is cut off.
        let length = bytes.len().min(frame.len());
        frame[..length].copy_from_slice(&bytes[..length]);
        lane.spare.push(bytes);
        Ok(Some((length, offload)))
    }

    fn transmit(&mut self, _now: Time, frame: &[u8], offload: Offload) -> io::Result<bool> {
        if frame.len() > self.mtu + HEADER {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut lane = self.outbox.lock();
        if lane.unplugged {
            return Ok(true);
        }
        if lane.frames.len() >= CAPACITY {
            return Ok(false);
        }
        let mut bytes = lane.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(frame);
        lane.frames.push_back((bytes, offload));
        let waker = lane.waker.clone();
        // The woken side may come straight for the lock.
        drop(lane);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(true)
    }

    fn mtu(&self) -> usize {
        self.mtu
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn set_waker(&mut self, waker: &Waker) {
        let mut lane = self.inbox.lock();
        lane.waker = Some(waker.clone());
        let waiting = !lane.frames.is_empty();
        drop(lane);
        if waiting {
            waker.wake_by_ref();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut lane = self.inbox.lock();
        lane.unplugged = true;
        lane.frames.clear();
        lane.waker = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    fn take(end: &mut End) -> Option<Vec<u8>> {
        let mut frame = [0; 1514];
        end.receive(Time::ZERO, &mut frame).unwrap().map(|(length, _)| frame[..length].to_vec())
    }

    fn give(end: &mut End, frame: &[u8]) -> bool {
        end.transmit(Time::ZERO, frame, Offload::None).unwrap()
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn frames_arrive_in_order_and_whole_both_ways() {
        let (mut left, mut right) = pair(1500);
        for number in 0..100u8 {
            assert!(give(&mut left, &vec![number; 14 + usize::from(number)]));
            assert!(give(&mut right, &[!number; 60]));
        }
        for number in 0..100u8 {
            assert_eq!(take(&mut right).unwrap(), vec![number; 14 + usize::from(number)]);
            assert_eq!(take(&mut left).unwrap(), [!number; 60]);
        }
        assert_eq!(take(&mut left), None);
        assert_eq!(take(&mut right), None);
    }

    #[test]
    fn a_full_pair_refuses_until_a_frame_is_taken() {
        let (mut left, mut right) = pair(1500);
        for _ in 0..CAPACITY {
            assert!(give(&mut left, &[1; 60]));
        }
        assert!(!give(&mut left, &[2; 60]));
        assert!(take(&mut right).is_some());
        assert!(give(&mut left, &[3; 60]));
        assert!(!give(&mut left, &[4; 60]));
    }

    #[test]
    fn a_frame_beyond_the_mtu_is_refused_and_a_small_buffer_cuts() {
        let (mut left, mut right) = pair(100);
        assert!(left.transmit(Time::ZERO, &[0; 115], Offload::None).is_err());
        assert!(give(&mut left, &[9; 114]));
        let mut small = [0; 20];
        assert_eq!(right.receive(Time::ZERO, &mut small).unwrap(), Some((20, Offload::None)));
        assert_eq!(take(&mut right), None);
    }

    #[test]
    fn buffers_are_used_again() {
        let (mut left, mut right) = pair(1500);
        for _ in 0..10_000 {
            give(&mut left, &[1; 1514]);
            take(&mut right);
        }
        assert_eq!(right.inbox.lock().spare.len(), 1);
    }

    #[test]
    fn a_frame_wakes_the_receiver_also_one_that_came_before_the_waker() {
        let (mut left, mut right) = pair(1500);
        let count = Arc::new(Count(AtomicUsize::new(0)));
        give(&mut left, &[1; 60]);
        right.set_waker(&Waker::from(Arc::clone(&count)));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        let thread = std::thread::spawn(move || give(&mut left, &[2; 60]));
        assert!(thread.join().unwrap());
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn frames_to_an_end_that_is_gone_are_lost_and_do_not_pile_up() {
        let (mut left, right) = pair(1500);
        drop(right);
        for _ in 0..=CAPACITY {
            assert!(give(&mut left, &[1; 60]));
        }
        assert!(left.outbox.lock().frames.is_empty());
    }
}
