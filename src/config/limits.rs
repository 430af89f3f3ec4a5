//! Every bound of the stack, as one table.

use std::fmt;
use std::ops::RangeInclusive;

use super::Invalid;

/// One bound, as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What it is called on the command line, such as `syn-entries`.
    pub name: String,
    /// What is bounded, and what happens at the bound.
    pub about: String,
    /// The bound of a stack that was told nothing.
    pub default: u64,
    /// What it may be.
    pub range: RangeInclusive<u64>,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, Size(self.default))
    }
}

/// A row is a field's documentation, its name and type, its default, and what it may be.
macro_rules! limits {
    ($($(#[doc = $about:literal])+ $field:ident: $type:ty = $default:expr, $range:expr;)*) => {
        /// Every bound of the stack. When one is reached, the newcomer is refused or dropped with a rule that says
        /// so; what is there already stays.
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct Limits {
            $($(#[doc = $about])+ pub $field: $type,)*
        }

        impl Default for Limits {
            fn default() -> Limits {
                Limits { $($field: $default,)* }
            }
        }

        impl Limits {
            /// The whole table.
            ///
            /// ```
            /// use tapsock::config::Limits;
            /// assert!(Limits::table().iter().any(|limit| limit.name == "syn-entries" && limit.default == 1024));
            /// ```
            pub fn table() -> Vec<Limit> {
                let Limits { $($field,)* } = Limits::default();
                vec![$(Limit {
                    name: stringify!($field).replace('_', "-"),
                    about: concat!($($about,)+).trim().to_owned(),
                    default: $field as u64,
                    range: $range,
                },)*]
            }

            /// What the one of this name is.
            pub fn get(&self, name: &str) -> Option<u64> {
                match name.replace('-', "_").as_str() {
                    $(stringify!($field) => Some(self.$field as u64),)*
                    _ => None,
                }
            }

            /// Sets the one of this name.
            ///
            /// # Errors
            ///
            /// A sentence for the person who chose it: there is none of this name, or it cannot be that.
            pub fn set(&mut self, name: &str, value: u64) -> Result<(), Invalid> {
                match name.replace('-', "_").as_str() {
                    $(stringify!($field) => {
                        let range: RangeInclusive<u64> = $range;
                        match value.try_into() {
                            Ok(fitting) if range.contains(&value) => self.$field = fitting,
                            _ => return Err(out_of_range(name, value, &range)),
                        }
                    })*
                    _ => return Err(Invalid(format!("there is no limit '{name}'; 'tapsock limits' lists them"))),
                }
                Ok(())
            }

            /// Checks each against what it may be.
            ///
            /// # Errors
            ///
            /// A sentence about the first that cannot be.
            pub fn validate(&self) -> Result<(), Invalid> {
                $({
                    let range: RangeInclusive<u64> = $range;
                    let value = self.$field as u64;
                    if !range.contains(&value) {
                        return Err(out_of_range(&stringify!($field).replace('_', "-"), value, &range));
                    }
                })*
                Ok(())
            }
        }
    };
}

fn out_of_range(name: &str, value: u64, range: &RangeInclusive<u64>) -> Invalid {
    let (least, most) = (range.start(), range.end());
    Invalid(format!("{name} cannot be {value}; it is from {least} to {most}"))
}

/// More entries than this of any kind would not fit into memory: a mistyped number.
const ENTRIES: u64 = 10_000_000;
/// The same for bytes of buffers.
const BYTES: u64 = 1 << 30;

limits! {
    /// Sockets of any kind: listeners, connections, UDP sockets. At the bound a call fails, and a peer's
    /// handshake is not completed.
    sockets: usize = 120_000, 1..=ENTRIES;
    /// Connections that have been asked for by a SYN and not completed, over all listeners.
    syn_entries: usize = 1024, 0..=ENTRIES;
    /// Connections in TIME-WAIT, and in FIN-WAIT-2 without a program. When there are more, the newcomer is forgotten at
    /// once (as with Linux's tcp_max_tw_buckets).
    remnants: usize = 65_536, 0..=ENTRIES;
    /// The longest accept queue that `listen` can ask for (`net.core.somaxconn`).
    backlog: usize = 4096, 1..=ENTRIES;
    /// Neighbours whose link address is known or asked for.
    neighbours: usize = 1024, 1..=ENTRIES;
    /// Packets that wait for one neighbour's link address; a datagram of 64 KiB is 46 on Ethernet.
    packets_per_neighbour: usize = 64, 0..=ENTRIES;
    /// Bytes of packets that wait for link addresses, over all neighbours.
    neighbour_queue_bytes: usize = 4 << 20, 0..=BYTES;
    /// Bytes of datagrams of which fragments are missing, with all that keeping them costs; at the bound the oldest
    /// makes room (Linux's `ipfrag_high_thresh`).
    reassembly_bytes: usize = 4 << 20, 0..=BYTES;
    /// One source's share of them; at the bound its own oldest makes room.
    reassembly_bytes_per_source: usize = 1 << 20, 0..=BYTES;
    /// Destinations whose path is known to carry less than the link; the oldest entry makes room for a new one.
    path_mtus: usize = 1024, 1..=ENTRIES;
    /// Bytes of packets on the loopback that have been sent and have not arrived; at the bound the newcomer is lost
    /// (as with Linux's `net.core.netdev_max_backlog`).
    loopback_bytes: usize = 1 << 20, 0..=BYTES;
    /// Multicast groups that sockets of the stack are in, each counted once.
    groups: usize = 1024, 0..=ENTRIES;
    /// Multicast groups that one socket is in (Linux's `net.ipv4.igmp_max_memberships`).
    groups_per_socket: usize = 20, 0..=ENTRIES;
    /// Errors that wait in one socket for a program that asked for them (IP_RECVERR); at the bound new ones are lost.
    queued_errors: usize = 64, 0..=ENTRIES;
    /// ICMP errors and RSTs for what nobody owns, a second (RFC 1812 §4.3.2.8); echo is not limited.
    errors_per_second: u32 = 1000, 0..=1_000_000;
    /// ICMP errors to one peer, a second; more of what it sends goes unanswered, and others are not affected.
    errors_per_second_and_peer: u32 = 250, 0..=1_000_000;
    /// Addresses made from prefixes that routers advertise.
    learned_addresses: usize = 8, 0..=64;
    /// Prefixes on the link that routers advertise, and those read from one advertisement.
    prefixes: usize = 16, 0..=ENTRIES;
    /// Routers known from their advertisements.
    routers: usize = 8, 0..=ENTRIES;
    /// Bytes of a TCP socket's receive buffer; below 65 536 (FACTS §1: larger ones can be made to panic).
    receive_buffer: usize = 65_535, 2048..=65_535;
    /// Bytes of a TCP socket's send buffer.
    send_buffer: usize = 256 * 1024, 2048..=BYTES;
    /// Bytes of the rings between an application and its socket, each direction.
    pipe: usize = 128 * 1024, 1024..=BYTES;
    /// Bytes of datagrams that wait in a UDP socket, each direction.
    datagram_buffer: usize = 208 * 1024, 2048..=BYTES;
    /// Sockets whose past is remembered while somebody traces calls, so that what happens can name its cause; and calls
    /// that take time. At the bound the oldest socket is forgotten, and what happens to it names fewer causes.
    traced_sockets: usize = 4096, 1..=ENTRIES;
    /// What is remembered of each of them: segments either way, writes, messages, and connections that wait, so many of
    /// each kind, in 16 to 24 bytes each. At the bound the oldest is forgotten.
    traced_steps: usize = 1024, 1..=ENTRIES;
    /// Reads, writes and the like that programs have done, until the engine's next round tells those who trace; at the
    /// bound new ones are not told.
    traced_deeds: usize = 16 * 1024, 1..=ENTRIES;
    /// Clients of the control socket at once; more are told so and turned away.
    control_clients: usize = 32, 1..=1024;
    /// Bytes of events that wait for one client of the control socket; at the bound new ones are lost to that client, and
    /// it is told how many.
    control_queue: usize = 8 << 20, 1024..=BYTES;
    /// Bytes of memory that the buffers of all sockets may use, pipes included. Counted are the pages that have been
    /// written and not been given back (an idle connection counts nothing), and datagrams with the buffers they are
    /// received in. At the bound nobody gets in, and what would need more is dropped.
    memory: usize = usize::try_from(4_u64 << 30).unwrap_or(1 << 30), 1 << 20..=1 << 40;
}

/// A number as a person writes it: 4M is 4 · 2²⁰.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [("G", 30), ("M", 20), ("K", 10)].into_iter().find(|&(_, bits)| {
            let whole = 1 << bits;
            self.0 >= whole && self.0.is_multiple_of(whole)
        });
        match unit {
            Some((suffix, bits)) => write!(f, "{}{suffix}", self.0 >> bits),
            None => self.0.fmt(f),
        }
    }
}

impl std::str::FromStr for Size {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Size, Invalid> {
        let malformed = || Invalid(format!("'{text}' is not a number; write it like 1000, 64K, 4M or 1G"));
        let (digits, bits) = match text.as_bytes().last() {
            Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
            Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
            Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let number: u64 = digits.parse().map_err(|_| malformed())?;
        number.checked_mul(1 << bits).map(Size).ok_or_else(malformed)
    }
}

/// One bound that a person has chosen: `syn-entries=4K`.
///
/// ```
/// use tapsock::config::{Chosen, Limits};
/// let chosen: Chosen = "syn-entries=4K".parse()?;
/// let mut limits = Limits::default();
/// chosen.apply(&mut limits);
/// assert_eq!(limits.syn_entries, 4096);
/// assert!("syn-entry=1".parse::<Chosen>().is_err());
/// # Ok::<(), tapsock::config::Invalid>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    name: String,
    value: u64,
}

impl Chosen {
    /// Sets it; that it can be was checked when it was parsed.
    pub fn apply(&self, limits: &mut Limits) {
        let _ = limits.set(&self.name, self.value);
    }
}

impl std::str::FromStr for Chosen {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Chosen, Invalid> {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Invalid(format!("'{text}' is not a limit; write it like syn-entries=4K, and 'tapsock limits' lists them"))
        })?;
        let Size(value) = value.parse()?;
        Limits::default().set(name, value)?;
        Ok(Chosen { name: name.to_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_in_its_range_and_can_be_set_by_its_name() {
        assert_eq!(Limits::default().validate(), Ok(()));
        for limit in Limits::table() {
            let mut limits = Limits::default();
            assert_eq!(limits.set(&limit.name, limit.default), Ok(()), "{}", limit.name);
            assert_eq!(limits, Limits::default());
            let least = *limit.range.start();
            limits.set(&limit.name, least).unwrap();
            assert_eq!(limits.get(&limit.name), Some(least));
            assert_eq!((limits == Limits::default(), limits.validate()), (least == limit.default, Ok(())));
            assert!(limits.set(&limit.name, limit.range.end() + 1).is_err(), "{}", limit.name);
            assert!(limit.about.ends_with('.') && !limit.name.contains('_'), "{limit:?}");
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, value) in [("0", 0), ("1000", 1000), ("64K", 65_536), ("4m", 4 << 20), ("1G", 1 << 30)] {
            assert_eq!(text.parse(), Ok(Size(value)), "{text}");
        }
        for text in ["", "K", "-1", "1T", "1 K", "99999999999999999999", "99999999999G", "ä"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!((Size(4 << 20).to_string(), Size(65_535).to_string()), ("4M".into(), "65535".into()));
    }

    #[test]
    fn a_limit_that_cannot_be_gets_one_sentence() {
        for (text, sentence) in [
            ("sockets", "write it like syn-entries=4K"),
            ("socket=1", "there is no limit 'socket'; 'tapsock limits' lists them"),
            ("sockets=many", "'many' is not a number; write it like 1000, 64K, 4M or 1G"),
            ("sockets=0", "sockets cannot be 0; it is from 1 to 10000000"),
            ("receive-buffer=64K", "receive-buffer cannot be 65536; it is from 2048 to 65535"),
        ] {
            let error = text.parse::<Chosen>().unwrap_err().to_string();
            assert!(error.contains(sentence), "{text}: {error}");
        }
    }
}
