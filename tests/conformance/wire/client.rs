//! One crafted TCP connection: it does only what a test tells it to.

use std::sync::atomic::{AtomicU16, Ordering};

use super::frame::{ACK, FIN, Family, PSH, RST, SYN, Segment};
use super::{Answer, PATIENCE, Wire};

/// The neighbour's end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) family: Family,
    pub(crate) port: u16,
    pub(crate) to: u16,
    /// Of what it sends next.
    pub(crate) seq: u32,
    /// Of what it expects next.
    pub(crate) ack: u32,
    pub(crate) window: u16,
    /// The stack's initial sequence number.
    pub(crate) isn: u32,
}

impl Client {
    /// From a port that no other client of this process had.
    pub(crate) fn new(family: Family, to: u16) -> Client {
        static PORT: AtomicU16 = AtomicU16::new(20_000);
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        Client { family, port, to, seq: 1000, ack: 0, window: 64_000, isn: 0 }
    }

    /// A segment from where the connection is.
    pub(crate) fn segment(&self, flags: u8) -> Segment {
        let ack = if flags & ACK == 0 { 0 } else { self.ack };
        Segment { window: self.window, ..Segment::new(self.family, self.port, self.to, flags, self.seq, ack) }
    }

    /// The same with data.
    pub(crate) fn data(&self, payload: &[u8]) -> Segment {
        Segment { payload: payload.to_vec(), ..self.segment(PSH | ACK) }
    }

    /// The same, so many bytes further on.
    pub(crate) fn data_at(&self, offset: u32, payload: &[u8]) -> Segment {
        Segment { seq: self.seq.wrapping_add(offset), ..self.data(payload) }
    }

    pub(crate) fn syn(&self) -> Segment {
        self.segment(SYN)
    }

    /// The segments among these that belong to this connection.
    pub(crate) fn of(&self, answers: &[Answer]) -> Vec<Segment> {
        let ours = |segment: &Segment| segment.to.port() == self.port && segment.from.port() == self.to;
        answers.iter().filter_map(Answer::tcp).filter(ours).collect()
    }

    /// What is answered at once.
    pub(crate) fn ask(&self, wire: &mut dyn Wire, segment: &Segment) -> Vec<Segment> {
        let answers = wire.ask(&segment.frame());
        self.of(&answers)
    }

    /// What is answered at once, if that is just one segment.
    pub(crate) fn ask_one(&self, wire: &mut dyn Wire, segment: &Segment) -> Segment {
        let answers = self.ask(wire, segment);
        assert_eq!(answers.len(), 1, "one answer to {segment:?}, not {answers:#?}");
        answers[0].clone()
    }

    /// Goes through the handshake. Gives the SYN-ACK.
    pub(crate) fn open(&mut self, wire: &mut dyn Wire) -> Segment {
        self.open_with(wire, vec![])
    }

    /// The same with options in the SYN.
    pub(crate) fn open_with(&mut self, wire: &mut dyn Wire, options: Vec<u8>) -> Segment {
        let syn_ack = self.begin_with(wire, options);
        wire.send(&self.segment(ACK).frame());
        syn_ack
    }

    /// Sends the SYN, takes the SYN-ACK, and sends no ACK yet.
    pub(crate) fn begin_with(&mut self, wire: &mut dyn Wire, options: Vec<u8>) -> Segment {
        let syn = Segment { options, ..self.syn() };
        let syn_ack = self.ask_one(wire, &syn);
        assert!(syn_ack.is(SYN | ACK), "{syn_ack:?}");
        assert_eq!(syn_ack.ack, self.seq.wrapping_add(1));
        self.seq = syn_ack.ack;
        self.isn = syn_ack.seq;
        self.ack = syn_ack.seq.wrapping_add(1);
        syn_ack
    }

    /// Sends data.
    pub(crate) fn say(&mut self, wire: &mut dyn Wire, payload: &[u8]) {
        wire.send(&self.data(payload).frame());
        self.seq = self.seq.wrapping_add(payload.len() as u32);
    }

    /// Takes `count` bytes from the stack, in order, and acknowledges each segment.
    pub(crate) fn read(&mut self, wire: &mut dyn Wire, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let answers = self
                .next(wire, &format!("{count} bytes, after {}", bytes.len()), |segment| !segment.payload.is_empty());
            for segment in answers.into_iter().filter(|segment| !segment.payload.is_empty()) {
                if segment.seq == self.ack {
                    self.ack = self.ack.wrapping_add(segment.payload.len() as u32);
                    bytes.extend_from_slice(&segment.payload);
                }
                wire.send(&self.segment(ACK).frame());
            }
        }
        bytes
    }

    /// Takes what comes until the stack's FIN, and acknowledges it.
    pub(crate) fn read_to_end(&mut self, wire: &mut dyn Wire) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let what = |segment: &Segment| !segment.payload.is_empty() || segment.flags & FIN != 0;
            for segment in self.next(wire, "end of the stream", what).into_iter().filter(what) {
                if segment.seq == self.ack {
                    self.ack = segment.end();
                    bytes.extend_from_slice(&segment.payload);
                }
                wire.send(&self.segment(ACK).frame());
                if segment.flags & FIN != 0 {
                    return bytes;
                }
            }
        }
    }

    /// The segments of this connection until one is like this.
    pub(crate) fn next(&self, wire: &mut dyn Wire, what: &str, is_it: impl Fn(&Segment) -> bool) -> Vec<Segment> {
        let answers = wire.until(what, &mut |answer| self.of(std::slice::from_ref(answer)).iter().any(&is_it));
        self.of(&answers)
    }

    /// The first segment of this connection that is like this.
    pub(crate) fn first(&self, wire: &mut dyn Wire, what: &str, is_it: impl Fn(&Segment) -> bool) -> Segment {
        let found = self.next(wire, what, &is_it).into_iter().find(|segment| is_it(segment));
        found.unwrap_or_else(|| panic!("no {what}"))
    }

    /// Whether data still goes both ways.
    pub(crate) fn echoes(&mut self, wire: &mut dyn Wire, payload: &[u8]) -> bool {
        self.say(wire, payload);
        self.read(wire, payload.len()) == payload
    }

    /// Whether the stack knows nothing of the connection any more: an ACK of it gets a RST.
    pub(crate) fn is_forgotten(&self, wire: &mut dyn Wire) -> bool {
        let answers = self.ask(wire, &self.segment(ACK));
        answers.len() == 1 && answers[0].is(RST) && answers[0].seq == self.ack
    }

    /// Ends it without more ado.
    pub(crate) fn reset(&self, wire: &mut dyn Wire) {
        wire.ask(&self.segment(RST).frame());
    }

    /// What comes in `PATIENCE` at most, until so many segments with payload have come.
    pub(crate) fn collect(&self, wire: &mut dyn Wire, count: usize) -> Vec<Segment> {
        let answers = wire.listen(PATIENCE, &mut |answers| {
            self.of(answers).iter().filter(|segment| !segment.payload.is_empty()).count() >= count
        });
        self.of(&answers)
    }
}
