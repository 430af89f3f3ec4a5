//! Which event caused which.

use super::*;

fn print(records: &[Record<'static>]) {
    for r in records {
        let e = match &r.event {
            Event::Frame { direction, bytes, fate } => format!("Frame {direction} {} {:?}", bytes.len(), fate.rule),
            Event::Loopback { direction, bytes, fate } => format!("Loop {direction} {} {:?}", bytes.len(), fate.rule),
            e => format!("{e:?}"),
        };
        println!("{} {} <- {} {e}", r.at, r.id, r.cause.map_or("".into(), |c| c.to_string()));
    }
}

#[test]
fn look() {
    let mut net = Net::new();
    net.a.seen.records = Some(Vec::new());
    net.b.seen.records = Some(Vec::new());
    let (a, b, listener) = net.connected();
    b.pipe.try_write(b"hello").unwrap();
    net.settle();
    a.pipe.try_read(&mut [0; 8]).unwrap();
    a.pipe.try_write(b"answer").unwrap();
    net.run(Duration::from_millis(100));
    b.pipe.try_read(&mut [0; 8]).unwrap();
    net.run(Duration::from_millis(100));
    drop(b);
    net.run(Duration::from_millis(100));
    drop(a);
    net.run(Duration::from_secs(100));
    println!("---- A");
    print(net.a.seen.records.as_ref().unwrap());
    println!("---- B");
    print(net.b.seen.records.as_ref().unwrap());
}
