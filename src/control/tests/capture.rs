//! Captures: what a client that wants a file is sent.

use std::io::BufWriter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};

use super::*;
use crate::control::queue::{Batch, Queue, Told};
use crate::trace::Capture;

fn capture(count: Option<u64>) -> Tracing {
    Tracing { encoding: Encoding::Pcapng, count, ..depth(Depth::Frame) }
}

/// What came until the end: the file, packets in it, records that are missing.
fn file(client: &mut Client) -> (Vec<u8>, u64, u64) {
    let (mut file, mut all, mut missing) = (Vec::new(), 0, 0);
    loop {
        match client.next().unwrap().unwrap() {
            Message::Part { packets, bytes } => {
                assert_eq!(client.part().len(), bytes);
                file.extend_from_slice(client.part());
                all += packets;
            }
            Message::Dropped { records } => missing += records,
            Message::End => return (file, all, missing),
            other => panic!("{other:?}"),
        }
    }
}

/// The bytes, the original length and the comment of each packet.
fn packets(file: &[u8]) -> Vec<(Vec<u8>, u32, String)> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            let EnhancedPacketOption::Comment(comment) = &packet.options[0] else { panic!("{:?}", packet.options) };
            packets.push((packet.data.to_vec(), packet.original_len, comment.to_string()));
        }
    }
    packets
}

fn talk(daemon: &Daemon) {
    daemon.chatter(5);
    let listener = TcpListener::bind(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap();
    let mut stream = TcpStream::connect(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    stream.write_all(&[7; 10_000]).unwrap();
    peer.read_exact(&mut [0; 10_000]).unwrap();
}

#[test]
fn a_capture_in_parts_is_byte_for_byte_the_one_that_the_records_make() {
    for (loopback, synthesise) in [(Loopback::Wire, false), (Loopback::Wire, true), (Loopback::Fast, true)] {
        let mut daemon = Daemon::with(loopback, Limits::default(), WITHIN);
        let mut told = daemon.tracing(depth(Depth::Frame));
        let mut captured = daemon.tracing(Tracing { synthesise, ..capture(None) });
        talk(&daemon);
        // The end of the stack is the end of both; all of it waits in the sockets.
        daemon.stack.shut_down();
        daemon.served.take();
        let records = records(&mut told);
        let (file, all, missing) = file(&mut captured);
        let about = captured.hello();
        let started = Duration::from_micros(about.started);
        let mut made = Capture::new(BufWriter::new(Vec::new()), &about.interface, started).unwrap();
        if synthesise {
            made.synthesise();
        }
        let count: u64 = records.iter().map(|record| made.write(record).unwrap()).sum();
        made.get_mut().flush().unwrap();
        assert!(*made.get_mut().get_ref() == file, "{loopback:?} {synthesise}");
        assert_eq!((all, missing), (count, 0));
        assert!(packets(&file).len() as u64 == count && count > 5, "{count}");
    }
}

#[test]
fn a_capture_ends_behind_so_many_packets_and_what_is_asked_next_is_answered() {
    let daemon = Daemon::new();
    let mut client = daemon.tracing(capture(Some(7)));
    daemon.chatter(10);
    let (bytes, all, _) = file(&mut client);
    assert_eq!((packets(&bytes).len(), all), (7, 7));
    client.trace(Tracing { synthesise: true, ..capture(Some(3)) }).unwrap();
    daemon.chatter(10);
    let (bytes, all, _) = file(&mut client);
    assert_eq!((packets(&bytes).len(), all), (3, 3));
    client.trace(capture(Some(0))).unwrap();
    assert_eq!(packets(&file(&mut client).0), []);
    assert!(client.stats().unwrap().loopback_packets >= 20);
}

#[test]
fn of_a_long_packet_the_beginning_is_kept_and_its_length_and_nothing_is_said_of_its_checksums() {
    let daemon = Daemon::new();
    let mut client = daemon.tracing(Tracing { snaplen: Some(60), ..capture(Some(2)) });
    daemon.chatter(2);
    for (bytes, length, comment) in packets(&file(&mut client).0) {
        assert_eq!((bytes.len(), length), (60, 1028));
        assert!(comment.ends_with(" · udp#1 · cut off: its checksums cannot be told") || comment.contains("udp#2"));
        assert!(!comment.contains("right") && !comment.contains("WRONG"), "{comment}");
    }
    let mut client = daemon.tracing(Tracing { snaplen: Some(1028), ..capture(Some(2)) });
    daemon.chatter(2);
    for (bytes, _, comment) in packets(&file(&mut client).0) {
        assert!(bytes.len() == 1028 && comment.ends_with("checksums: ip4 right, udp right"), "{comment}");
    }
}

#[test]
fn whoever_writes_too_slowly_misses_packets_and_is_told_how_many_and_where_while_the_traffic_goes_on() {
    let daemon = Daemon::start(Limits { control_queue: 64 << 10, ..Limits::default() }, WITHIN);
    let mut client = daemon.tracing(capture(None));
    // Nobody reads, and all of it arrives.
    daemon.chatter(2000);
    let (mut begun, mut all, mut missing) = (Vec::new(), 0, 0);
    while all + missing < 4000 {
        match client.next().unwrap().unwrap() {
            Message::Part { packets, .. } => {
                begun.extend_from_slice(client.part());
                all += packets;
            }
            Message::Dropped { records } => missing += records,
            other => panic!("{other:?}"),
        }
    }
    // Where there is room again, there are packets again.
    daemon.chatter(10);
    client.speaker().unwrap().stop();
    let (rest, _, more) = file(&mut client);
    let (packets, missing) = (packets(&[begun, rest].concat()), missing + more);
    assert_eq!(packets.len() as u64 + missing, 4020);
    assert!(packets.len() > 50 && missing > 50, "{missing}");
    assert_eq!(daemon.client().stats().unwrap().untold, missing);
    let told = packets.iter().filter_map(|(_, _, comment)| {
        comment.rsplit(" · ").next()?.split_once(" records before this one are missing")?.0.parse::<u64>().ok()
    });
    assert_eq!(told.sum::<u64>(), missing);
}

#[test]
fn what_has_happened_before_a_trace_is_ended_is_told_however_much_it_is() {
    let daemon = Daemon::new();
    let mut client = daemon.tracing(depth(Depth::Call));
    daemon.chatter(500);
    client.speaker().unwrap().stop();
    let read = |record: &&Record<'_>| matches!(record.event, Event::Call { call: CallKind::Write { .. }, .. });
    assert_eq!(records(&mut client).iter().filter(read).count(), 500);
}

#[test]
fn a_client_that_has_enough_is_heard_while_there_is_always_more_to_tell() {
    let daemon = Daemon::new();
    let mut client = daemon.tracing(depth(Depth::Frame));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Ends also where the test fails.
        let traffic =
            scope.spawn(|| (0..5000).take_while(|_| !is_over.load(Ordering::Relaxed)).for_each(|_| daemon.chatter(10)));
        for _ in 0..1000 {
            client.next().unwrap().unwrap();
        }
        client.speaker().unwrap().stop();
        while client.next().unwrap().unwrap() != Message::End {}
        let is_heard = !traffic.is_finished();
        is_over.store(true, Ordering::Relaxed);
        assert!(is_heard, "only the end of the traffic was the end");
    });
}

#[test]
fn what_waits_for_a_client_is_what_has_come_whatever_it_is() {
    let socket = tcp(3);
    let events = crate::observe::tests::of_every_kind(socket);
    let mut trail = Trail::default();
    trail.set_depth(Depth::Bytes);
    for event in events {
        trail.note(Time::from_micros(5), event);
    }
    let records: Vec<_> = trail.drain().collect();
    let queue = Queue::new(1 << 20);
    let lost = AtomicU64::new(0);
    // A batch that is used again has nothing left of what was in it.
    let mut batch = Batch::default();
    for _ in 0..2 {
        assert!(records.iter().all(|record| queue.push(record, &lost)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(queue.take(&mut batch)));
        let told: Vec<_> = batch.drain().collect();
        assert_eq!(told.len(), records.len());
        for (told, record) in told.iter().zip(&records) {
            let Told::Record(told, length) = told else { panic!("{told:?}") };
            assert_eq!(told, record);
            assert!(*length == 0 || matches!(told.event, Event::Frame { .. } | Event::Loopback { .. }));
        }
    }
}

#[test]
fn a_client_says_which_daemon_breaks_off_or_sends_too_much() {
    let hello =
        r#"{"message":"hello","protocol":1,"version":"9.1","name":"tap0","interface":"tap0","pid":1,"started":0}"#;
    for (rest, sentence) in [
        ("{\"message\":\"part\",\"packets\":1,\"bytes\":10}\n123", "in the middle of a part"),
        ("{\"message\":\"part\",\"packets\":1,\"bytes\":1048577}\n", "has at most 1048576 bytes"),
        ("{\"message\":\"par", "in the middle of a line"),
    ] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(format!("{hello}\n{rest}").as_bytes()).unwrap();
        drop(theirs);
        let error = Client::on(ours).unwrap().next().unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}

#[test]
fn what_comes_in_pieces_is_put_together_however_long_it_takes() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let hello =
        r#"{"message":"hello","protocol":1,"version":"9.1","name":"tap0","interface":"tap0","pid":1,"started":0}"#;
    theirs.write_all(format!("{hello}\n").as_bytes()).unwrap();
    let mut client = Client::on(ours).unwrap();
    let mut heard = Vec::new();
    for piece in ["{\"message\":", "\"part\",\"packets\":2,\"bytes\":6}\nab", "cd", "ef{\"message\":\"end\"}\n"] {
        theirs.write_all(piece.as_bytes()).unwrap();
        loop {
            match client.next_within(Duration::from_millis(1)).unwrap() {
                Heard::Message(message) => heard.push((message, client.part().to_vec())),
                Heard::Nothing => break,
                Heard::Over => panic!(),
            }
        }
    }
    let part = (Message::Part { packets: 2, bytes: 6 }, b"abcdef".to_vec());
    assert_eq!(heard, [part, (Message::End, b"abcdef".to_vec())]);
}
