//! The chain of IPv6 extension headers (RFC 8200 §4).
//!
//! [`walk`] obeys every header of a packet that came in; [`upper`] only finds the end of the chain.

use smoltcp::wire::{IPV6_HEADER_LEN, Ipv6OptionFailureType};

use super::icmp_error::Message;
use super::packet::protocol::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMPV6, NO_NEXT_HEADER, ROUTING, TCP, UDP};
use crate::observe::Rule;

/// More headers than anybody uses. It bounds the work for one packet (RFC 8504 §5.3).
const MOST_HEADERS: usize = 8;

const NEXT_HEADER_FIELD: usize = 6;
const PAD1: u8 = 0;

/// What stands behind the extension headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upper {
    pub(super) protocol: u8,
    /// Where it starts, counted from the IPv6 header.
    pub(super) offset: usize,
    /// There was a fragment header: neighbour messages must not have one (RFC 6980 §5).
    pub(super) fragment_header: bool,
}

/// Why a packet is not delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Drop(Rule),
    Answer(Message),
    /// It is a fragment; what is behind its header is to be looked at when all of it is there.
    Fragment(Cut),
}

/// Where a packet was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// The fragment header, counted from the IPv6 header.
    pub(super) at: usize,
    /// The next header field that says so.
    pub(super) next_field: usize,
}

/// Obeys the extension headers of a packet whose fixed header is whole.
pub(super) fn walk(packet: &[u8]) -> Result<Upper, Stop> {
    let mut field = NEXT_HEADER_FIELD;
    let mut at = IPV6_HEADER_LEN;
    let mut fragment_header = false;
    for _ in 0..=MOST_HEADERS {
        let end = match packet[field] {
            TCP | UDP | ICMPV6 => return Ok(Upper { protocol: packet[field], offset: at, fragment_header }),
            NO_NEXT_HEADER => return Err(Stop::Drop(Rule::Ip6NoNextHeader)),
            HOP_BY_HOP if field == NEXT_HEADER_FIELD => options(packet, at)?,
            DESTINATION_OPTIONS => options(packet, at)?,
            ROUTING => {
                let end = end_of_header(packet, at).ok_or(Stop::Drop(Rule::Ip6Extension))?;
                // Type 0 is forbidden (RFC 5095), others are unknown; with nothing left to visit all are skipped.
                let segments_left = packet[at + 3];
                if segments_left > 0 {
                    return Err(Stop::Answer(Message::parameter_problem(0, at + 2, Rule::Ip6Routing)));
                }
                end
            }
            FRAGMENT => {
                let header = packet.get(at..at + 8).ok_or(Stop::Drop(Rule::Ip6Extension))?;
                // Offset 0 and no more fragments: an atomic fragment is a whole packet (RFC 6946).
                let offset_and_more = u16::from_be_bytes([header[2], header[3]]) & !6;
                if offset_and_more != 0 {
                    return Err(Stop::Fragment(Cut { at, next_field: field }));
                }
                fragment_header = true;
                at + 8
            }
            // Also a hop-by-hop header that is not the first (RFC 8200 §4).
            _ => return Err(Stop::Answer(Message::parameter_problem(1, field, Rule::Ip6NextHeader))),
        };
        field = at;
        at = end;
    }
    Err(Stop::Drop(Rule::Ip6Extension))
}

/// Where the header at `at` ends by its length field; `None` if that is beyond the packet.
fn end_of_header(packet: &[u8], at: usize) -> Option<usize> {
    let length = packet.get(at + 1)?;
    let end = at + (usize::from(*length) + 1) * 8;
    (end <= packet.len()).then_some(end)
}

/// Checks the options of the header at `at` and returns where it ends. We know none but padding; the router
/// alert (RFC 2711) is among those that may be skipped.
fn options(packet: &[u8], at: usize) -> Result<usize, Stop> {
    const MALFORMED: Stop = Stop::Drop(Rule::Ip6Extension);
    let end = end_of_header(packet, at).ok_or(MALFORMED)?;
    let mut option = at + 2;
    while option < end {
        let kind = packet[option];
        if kind == PAD1 {
            option += 1;
            continue;
        }
        if option + 1 >= end {
            return Err(MALFORMED);
        }
        let next = option + 2 + usize::from(packet[option + 1]);
        if next > end {
            return Err(MALFORMED);
        }
        // RFC 8200 §4.2: the two highest bits say what who does not know the option must do.
        let problem = Message::parameter_problem(2, option, Rule::Ip6Option);
        match Ipv6OptionFailureType::from(kind) {
            Ipv6OptionFailureType::Skip => {}
            Ipv6OptionFailureType::Discard => return Err(MALFORMED),
            Ipv6OptionFailureType::DiscardSendAll => return Err(Stop::Answer(problem.even_to_group())),
            Ipv6OptionFailureType::DiscardSendUnicast => return Err(Stop::Answer(problem)),
        }
        option = next;
    }
    Ok(end)
}

/// Whether a first fragment has all headers up to that of the transport (RFC 7112 §5).
pub(super) fn is_chain_whole(packet: &[u8]) -> bool {
    const UDP_OR_ICMP_HEADER: usize = 8;
    const TCP_HEADER: usize = 20;
    upper(packet).is_some_and(|(protocol, at)| {
        let header = match protocol {
            TCP => TCP_HEADER,
            UDP | ICMPV6 => UDP_OR_ICMP_HEADER,
            _ => 0,
        };
        at + header <= packet.len()
    })
}

/// The protocol behind the extension headers and where it starts, without obeying any of them. `None` if the
/// chain is broken or this is not a first fragment.
pub(super) fn upper(packet: &[u8]) -> Option<(u8, usize)> {
    let mut next = *packet.get(NEXT_HEADER_FIELD)?;
    let mut at = IPV6_HEADER_LEN;
    for _ in 0..=MOST_HEADERS {
        let end = match next {
            HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING => end_of_header(packet, at)?,
            FRAGMENT => {
                let header = packet.get(at..at + 8)?;
                if u16::from_be_bytes([header[2], header[3]]) & 0xfff8 != 0 {
                    return None;
                }
                at + 8
            }
            protocol => return (at <= packet.len()).then_some((protocol, at)),
        };
        next = packet[at];
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed header followed by `chain`.
    fn packet(first: u8, chain: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; IPV6_HEADER_LEN];
        packet[0] = 0x60;
        packet[NEXT_HEADER_FIELD] = first;
        packet.extend_from_slice(chain);
        packet
    }

    fn pointer(stop: Result<Upper, Stop>) -> (u8, u32) {
        match stop {
            Err(Stop::Answer(message)) => (message.code, message.parameter),
            other => panic!("{other:?}"),
        }
    }

    const DROP: Result<Upper, Stop> = Err(Stop::Drop(Rule::Ip6Extension));

    #[test]
    fn known_headers_are_walked_to_the_transport() {
        let chain = [
            [DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0], // hop-by-hop, PadN of 4
            [ROUTING, 0, 0, 0, 0, 0, 0, 0],             // destination options, Pad1 six times
            [FRAGMENT, 0, 0, 0, 0, 0, 0, 0],            // routing type 0, used up
            [UDP, 0, 0, 0, 1, 2, 3, 4],                 // atomic fragment
        ]
        .concat();
        let packet = packet(HOP_BY_HOP, &chain);
        assert_eq!(walk(&packet), Ok(Upper { protocol: UDP, offset: 72, fragment_header: true }));
        assert_eq!(upper(&packet), Some((UDP, 72)));
    }

    #[test]
    fn the_pointer_names_the_field_that_is_wrong() {
        assert_eq!(pointer(walk(&packet(200, &[]))), (1, 6));
        assert_eq!(pointer(walk(&packet(DESTINATION_OPTIONS, &[200, 0, 1, 4, 0, 0, 0, 0]))), (1, 40));
        let late_hop_by_hop = [[HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0], [UDP, 0, 1, 4, 0, 0, 0, 0]].concat();
        assert_eq!(pointer(walk(&packet(DESTINATION_OPTIONS, &late_hop_by_hop))), (1, 40));
        assert_eq!(pointer(walk(&packet(ROUTING, &[UDP, 0, 0, 1, 0, 0, 0, 0]))), (0, 42));
        assert_eq!(pointer(walk(&packet(ROUTING, &[UDP, 0, 253, 9, 0, 0, 0, 0]))), (0, 42));
        assert_eq!(pointer(walk(&packet(HOP_BY_HOP, &[UDP, 0, 0, 0, 0xc2, 2, 0, 0]))), (2, 44));
    }

    #[test]
    fn the_highest_bits_of_an_unknown_option_say_what_to_do() {
        let with = |kind: u8| walk(&packet(DESTINATION_OPTIONS, &[UDP, 0, kind, 4, 0, 0, 0, 0]));
        assert_eq!(with(0x1e), Ok(Upper { protocol: UDP, offset: 48, fragment_header: false }));
        assert_eq!(with(0x5e), DROP);
        let problem = Message::parameter_problem(2, 42, Rule::Ip6Option);
        assert_eq!(with(0x9e), Err(Stop::Answer(problem.even_to_group())));
        assert_eq!(with(0xde), Err(Stop::Answer(problem)));
    }

    #[test]
    fn a_walk_ends_at_a_fragment_and_at_the_end_of_the_chain() {
        for offset_and_more in [1u16, 8, 9, 0xfff8] {
            let [high, low] = offset_and_more.to_be_bytes();
            let fragment = packet(FRAGMENT, &[UDP, 0, high, low, 0, 0, 0, 0]);
            let cut = Cut { at: 40, next_field: 6 };
            assert_eq!(walk(&fragment), Err(Stop::Fragment(cut)));
        }
        assert_eq!(walk(&packet(NO_NEXT_HEADER, &[])), Err(Stop::Drop(Rule::Ip6NoNextHeader)));
    }

    #[test]
    fn a_chain_that_runs_past_the_packet_is_dropped() {
        for kind in [HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT] {
            assert_eq!(walk(&packet(kind, &[])), DROP);
            assert_eq!(walk(&packet(kind, &[UDP, 0, 0, 0])), DROP);
        }
        assert_eq!(walk(&packet(HOP_BY_HOP, &[UDP, 1, 1, 4, 0, 0, 0, 0])), DROP);
        assert_eq!(walk(&packet(HOP_BY_HOP, &[UDP, 0, 1, 5, 0, 0, 0, 0])), DROP, "the option is longer");
        assert_eq!(walk(&packet(HOP_BY_HOP, &[UDP, 0, 1, 3, 0, 0, 0, 1])), DROP, "a lone type at the end");
    }

    #[test]
    fn a_chain_of_many_headers_is_given_up() {
        let chain = [DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(1000);
        let packet = packet(DESTINATION_OPTIONS, &chain);
        assert_eq!(walk(&packet), DROP);
        assert_eq!(upper(&packet), None);
    }
}
