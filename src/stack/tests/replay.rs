//! What was recorded happens again.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

use super::loss::{lossy, transfer};
use super::*;
use crate::device::fault::Wire;
use crate::observe::CallKind;
use crate::recording::{Changes, Difference, Header, NotARecording, Player, Recording, Summary};
use crate::socket::{Kind, UnixAddress, UnixPipe};

/// A file that the test reads while others write.
#[derive(Debug, Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl File {
    fn recorder(&self) -> Recorder {
        Recorder::new(self.clone()).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

pub(super) fn header(config: &Config, mtu: usize, seed: [u8; 32]) -> Header {
    let (version, interface) = (env!("TAPSOCK_VERSION").into(), "tap0".into());
    Header { version, interface, started: Duration::ZERO, mtu, is_linked: true, seed, config: config.clone() }
}

fn replay(bytes: Vec<u8>, changes: Changes, observer: &mut dyn Observer) -> (Summary, Option<Difference>) {
    let recording = Recording::open(Cursor::new(bytes)).unwrap();
    Player::new(&recording, changes).run(recording, observer).unwrap()
}

/// Stops the recording of A, and gives what was seen and written.
fn end(mut net: Net, file: &File) -> (Seen, Vec<u8>) {
    let mut out = Frames::new();
    let (stack, seen) = (&mut net.a.stack, &mut net.a.seen);
    net.a.recorder.take().unwrap().shut_down(stack, net.now, &mut out, seen);
    (std::mem::take(&mut net.a.seen), file.bytes())
}

/// A session of A with all kinds of sockets, over a bad wire.
fn session(fault: FaultConfig, rounds: usize) -> (Seen, Vec<u8>) {
    let file = File::default();
    let mut net = Net::recorded(fault, config_a(), config_b(), Some(file.recorder()));
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let server = net.bind_a(at("0.0.0.0", 7));
    let client = net.bind_b(at("0.0.0.0", 0));
    for round in 0..rounds {
        let b = net.connect_b(at(A, 80)).unwrap();
        let mut a = None;
        net.run_until(Duration::from_secs(60), |_| {
            a = listener.queue.try_accept().ok();
            a.is_some()
        });
        let a = a.unwrap();
        transfer(&mut net, &b, &a, 700_000);
        transfer(&mut net, &a, &b, 700_000);
        client.pipe.try_send(&[round as u8; 3000], at(A, 7), None).unwrap();
        net.run(Duration::from_millis(100));
        let mut buffer = [0; 4000];
        while let Ok((count, peer, _)) = server.pipe.try_receive(&mut buffer) {
            server.pipe.try_send(&buffer[..count], peer, None).unwrap();
        }
        match round % 3 {
            0 => drop(a),
            1 => b.pipe.shutdown_write(),
            // Unread data: a RST.
            _ => {
                let _ = b.pipe.try_write(b"nobody reads this");
                net.run(Duration::from_millis(300));
                drop(a);
            }
        }
        net.run(Duration::from_secs(2));
    }
    drop((listener, server));
    net.run(Duration::from_secs(2));
    end(net, &file)
}

#[test]
fn a_session_of_ten_thousand_packets_with_loss_is_the_same_frame_for_frame() {
    let (seen, bytes) = session(lossy(0.02, 5), 7);
    assert!(seen.frames.len() >= 10_000, "{}", seen.frames.len());
    let mut again = Seen::default();
    let (summary, difference) = replay(bytes, Changes::default(), &mut again);
    assert_eq!(difference, None);
    assert_eq!((summary.frames_in + summary.frames_out) as usize, seen.frames.len());
    // Not only the bytes: their fates, the sockets, and what was told beside.
    assert!(again.frames == seen.frames);
    assert_eq!(again.events, seen.events);
}

#[test]
fn programs_of_one_stack_are_replayed_without_programs() {
    let file = File::default();
    let mut net = Net::recorded(FaultConfig::default(), config_a(), config_b(), Some(file.recorder()));
    let listener = net.listen_a(at("0.0.0.0", 80), 2);
    for _ in 0..3 {
        let Ok(Outcome::Stream(near)) = net.call_a(Verb::OpenStream { local: None, remote: at(A, 80) }) else {
            panic!()
        };
        let far = listener.queue.try_accept().unwrap();
        near.pipe.try_write(b"not by the wire").unwrap();
        let mut buffer = [0; 100];
        assert_eq!(far.pipe.try_read(&mut buffer), Ok(15));
        drop(near);
        net.run(Duration::from_secs(3));
    }
    for kind in [Kind::UnixStream, Kind::UnixDatagram, Kind::UnixSeqPacket] {
        let Ok(Outcome::UnixPair(pair)) = net.call_a(Verb::OpenPair { kind }) else { panic!() };
        let [one, other] = *pair;
        let name = UnixAddress::abstract_name("one").unwrap();
        net.call_a(Verb::Bind { socket: one.handle, local: name.clone().into() }).unwrap();
        if let Some(UnixPipe::Stream(pipe)) = &one.pipe {
            pipe.try_write(b"to be found in a ring").unwrap();
        }
        net.run(Duration::from_secs(2));
        drop(one);
        // The name is free again, once somebody asks for it.
        net.call_a(Verb::Bind { socket: other.handle, local: name.into() }).unwrap();
        net.run(Duration::from_millis(1));
        drop(other);
        net.run(Duration::from_secs(2));
    }
    drop(listener);
    net.run(Duration::from_secs(1));
    let (seen, bytes) = end(net, &file);
    let mut again = Seen::default();
    assert_eq!(replay(bytes, Changes::default(), &mut again).1, None);
    assert_eq!(again.events, seen.events);
}

/// What programs called, and what left.
#[derive(Default)]
struct Heard {
    calls: Vec<CallKind>,
    sent: Vec<Vec<u8>>,
}

impl Observer for Heard {
    fn depth(&self) -> Depth {
        Depth::Bytes
    }

    fn observe(&mut self, record: &Record<'_>) {
        match &record.event {
            Event::Call { call, .. } => self.calls.push(call.clone()),
            Event::Frame { direction: Direction::Out, bytes, .. } => self.sent.push(bytes.to_vec()),
            _ => {}
        }
    }
}

#[test]
fn a_replay_shows_calls_that_nobody_looked_at_when_they_were_made() {
    let (_, bytes) = session(FaultConfig::default(), 1);
    let mut heard = Heard::default();
    assert_eq!(replay(bytes, Changes::default(), &mut heard).1, None);
    let of = |is: fn(&CallKind) -> Option<usize>| heard.calls.iter().filter_map(is).sum::<usize>();
    let written = of(|call| if let CallKind::Write { bytes } = call { Some(*bytes) } else { None });
    let read = of(|call| if let CallKind::Read { bytes } = call { Some(*bytes) } else { None });
    assert_eq!((written, read), (703_000, 703_000));
    assert_eq!(of(|call| matches!(call, CallKind::Accept).then_some(1)), 1);
}

#[test]
fn a_frame_that_is_left_out_is_missed_from_there_on() {
    let (seen, bytes) = session(FaultConfig::default(), 1);
    let mut number = 0;
    let data = seen.frames.iter().filter(|(_, direction, ..)| *direction == Direction::In).find(|(_, _, bytes, _)| {
        number += 1;
        bytes.len() > 1400 && number > 20
    });
    assert!(data.is_some());
    let changes = Changes { dropped: BTreeSet::from([number]), without_loss: false };
    let mut heard = Heard::default();
    let (summary, difference) = replay(bytes, changes, &mut heard);
    assert_eq!((summary.changed, difference), (1, None));
    let before: Vec<&Vec<u8>> = seen
        .frames
        .iter()
        .filter(|(_, direction, ..)| *direction == Direction::Out)
        .map(|(_, _, bytes, _)| bytes)
        .collect();
    let first = heard.sent.iter().zip(&before).position(|(now, then)| now != *then).unwrap();
    assert!(has_sack(&heard.sent[first]) && !has_sack(before[first]), "{:x?}", heard.sent[first]);
}

/// Whether it carries a SACK option behind the timestamps and two NOPs (RFC 2018, RFC 7323 appendix A).
fn has_sack(frame: &[u8]) -> bool {
    frame.get(66..69) == Some(&[1, 1, 5])
}

#[test]
fn what_was_lost_and_comes_after_all_is_not_missed() {
    let wire = Wire { loss: 0.02, ..Wire::default() };
    let (seen, bytes) = session(FaultConfig { seed: 3, receive: wire, transmit: Wire::default() }, 1);
    let then = seen.frames.iter().filter(|(_, direction, bytes, _)| *direction == Direction::Out && has_sack(bytes));
    let then = then.count();
    let mut heard = Heard::default();
    let (summary, _) = replay(bytes, Changes { without_loss: true, ..Changes::default() }, &mut heard);
    let now = heard.sent.iter().filter(|frame| has_sack(frame)).count();
    // What was sent again comes all the same, and is told as a duplicate (RFC 2883).
    assert!(summary.changed > 5 && then > 5 && now < then / 2, "{summary:?}, {then} then, {now} now");
}

#[test]
fn another_byte_and_another_seed_are_found() {
    let (_, bytes) = session(FaultConfig::default(), 1);
    let line = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    // The seed is in the header: 32 times a 1.
    let seed = bytes.windows(6).position(|window| window == b"[1,1,1").unwrap();
    assert!(seed > line);
    let mut other = bytes.clone();
    other[seed + 1] = b'2';
    let difference = replay(other, Changes::default(), &mut Seen::default()).1;
    assert!(matches!(difference, Some(Difference::Frame { .. })), "{difference:?}");
}

#[test]
fn a_file_that_is_cut_off_is_replayed_as_far_as_it_goes_and_a_damaged_one_is_refused() {
    let (_, bytes) = session(FaultConfig::default(), 1);
    let whole = replay(bytes.clone(), Changes::default(), &mut Seen::default()).0;
    let half = bytes[..bytes.len() / 2].to_vec();
    let (summary, difference) = replay(half, Changes::default(), &mut Seen::default());
    assert!(difference.is_none() && summary.is_cut_off && summary.steps < whole.steps);
    assert!(matches!(Recording::open(Cursor::new(b"GIF89a".to_vec())), Err(NotARecording::Other)));
    let other = b"tapsock recording 99\n{}\n".to_vec();
    assert!(matches!(Recording::open(Cursor::new(other)), Err(NotARecording::Format(_))));
    let records = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    let mut damaged = bytes;
    damaged[records + 1..records + 5].fill(0xff);
    let recording = Recording::open(Cursor::new(damaged)).unwrap();
    let player = Player::new(&recording, Changes::default());
    assert!(matches!(player.run(recording, &mut Seen::default()), Err(NotARecording::Damaged(0))));
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_traffic() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let recorder = Recorder::new(Full).unwrap();
    let mut net = Net::recorded(FaultConfig::default(), config_a(), config_b(), Some(recorder));
    let (a, b, _listener) = net.connected();
    for _ in 0..4 {
        transfer(&mut net, &a, &b, 1_000_000);
    }
    assert!(net.a.recorder.as_ref().is_some_and(Recorder::has_ended));
}

/// An observer that finds a bug in the third frame that comes.
struct Bug(u32);

impl Observer for Bug {
    fn depth(&self) -> Depth {
        Depth::Frame
    }

    fn observe(&mut self, record: &Record<'_>) {
        if let Event::Frame { direction: Direction::In, .. } = record.event {
            self.0 += 1;
            assert!(self.0 < 3, "a bug");
        }
    }
}

#[test]
fn the_step_that_has_found_a_bug_is_in_the_recording() {
    let file = File::default();
    let mut recorder = file.recorder();
    let mut stack = Stack::new(config_a(), 1500, [1; 32], recorder.doorbell());
    recorder.begin(&header(&config_a(), 1500, [1; 32]));
    let (frames, mut out, mut bug) = ([[0xff_u8; 60]; 4], Frames::new(), Bug(0));
    let mut step = |frames: &[[u8; 60]]| {
        let frames: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
        recorder.step(&mut stack, Time::ZERO, frames, &mut Vec::new(), &mut out, &mut bug);
    };
    step(&frames[..2]);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| step(&frames[2..]))).is_err());
    let again = std::panic::AssertUnwindSafe(|| replay(file.bytes(), Changes::default(), &mut Bug(0)));
    assert!(std::panic::catch_unwind(again).is_err(), "the replay does not find the bug");
}
