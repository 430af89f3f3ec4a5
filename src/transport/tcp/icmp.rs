//! ICMP errors about segments of ours: what they end, what they are remembered for, what they change.

use crate::error::Error;
use crate::ip::{ErrorKind, IcmpError};
use crate::observe::{Close, Fate, Rule, TcpState, Time};
use crate::transport::{Below, Connection, FourTuple, Notice, Owner, QueuedError, Transport, segment_payload};

impl Transport {
    /// An ICMP error about a segment of ours.
    ///
    /// Whoever can forge one must guess the 4-tuple and a sequence number that is on its way (RFC 5927 §4.1). One ends
    /// a connection that is only asked for, soft or not, as on Linux: a program would rather try the next address than
    /// wait for two minutes (RFC 5461 §4.1). In an established connection every one is taken for soft, because it may
    /// pass (RFC 1122 §4.2.3.9, RFC 5927 §5.2): it becomes the reason if the connection dies of silence later. A program
    /// that wants to know all the same is told, once, and its connection goes on (IP_RECVERR, `ip(7)`).
    pub(super) fn tcp_error(&mut self, now: Time, error: &IcmpError, below: &mut Below<'_>) -> Fate {
        let tuple = FourTuple { local: error.source, remote: error.destination };
        let slot = match self.tuples.get(&tuple) {
            Some(&Owner::Connection(slot)) => slot,
            // The peer's next SYN is answered all the same, and a SYN entry costs little until it is forgotten.
            Some(&Owner::Handshake(slot)) => return self.handshakes[slot].fate(Some(Rule::IcmpErrorDelivered)),
            Some(&Owner::Remnant(_) | &Owner::Joined(..)) | None => return Fate::nobody(Rule::IcmpErrorUnmatched),
        };
        let connection = &mut self.connections[slot];
        let fate = |rule, connection: &mut Connection| Fate { rule: Some(rule), ..connection.fate() };
        // 8 quoted bytes hold the sequence number: a quote without one is not of a segment that we sent.
        if !error.sequence.is_some_and(|sequence| connection.is_outstanding(sequence)) {
            return fate(Rule::IcmpErrorSequence, connection);
        }
        if let ErrorKind::PacketTooBig { mtu } = error.kind {
            let remote = error.destination;
            if !below.ip.learn_path_mtu(now, remote.ip(), mtu) {
                return fate(Rule::IcmpErrorDelivered, connection);
            }
            let path = below.ip.path_mtu(remote.ip());
            connection.narrow(segment_payload(path, remote));
            let fate = fate(Rule::PathMtuLowered, connection);
            self.mark(slot);
            return fate;
        }
        let told = told(error.kind);
        let is_asked_for = connection.state() == TcpState::SynSent;
        if let Some(descriptor) = connection.descriptor().filter(|_| connection.wants_errors) {
            // Linux: only what ends the wish for a connection is kept for MSG_ERRQUEUE (tcp_v4_err).
            let queued = is_asked_for.then(|| QueuedError { error: told, ..QueuedError::of(error) });
            let error = (!is_asked_for).then_some(told);
            self.notices.push_back(Notice::Undelivered { descriptor, error, queued });
        }
        let fate = fate(Rule::IcmpErrorDelivered, connection);
        if is_asked_for {
            connection.end(Close::Unreachable, told);
            self.mark(slot);
        } else {
            connection.soft_error = Some(told);
        }
        fate
    }
}

/// What the program is told (Linux: icmp_err_convert and tcp_v6_err).
fn told(kind: ErrorKind) -> Error {
    match kind {
        ErrorKind::PortUnreachable => Error::ConnectionRefused,
        ErrorKind::NetworkUnreachable => Error::NetworkUnreachable,
        ErrorKind::PacketTooBig { .. } => Error::MessageTooLong,
        ErrorKind::SourceRouteFailed => Error::NotSupported,
        ErrorKind::HostUnreachable
        | ErrorKind::ProtocolUnreachable
        | ErrorKind::TimeExceeded
        | ErrorKind::Prohibited
        | ErrorKind::ParameterProblem => Error::HostUnreachable,
    }
}
