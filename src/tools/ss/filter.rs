//! The filters of `ss(8)`: which states, and an expression over ports and addresses.
//!
//! ```text
//! state established and ( dport = :443 or sport >= :1024 ) and not dst 10.0.0.0/8
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::control::{Family, Listed};
use crate::observe::TcpState;

use TcpState::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, SynSent, TimeWait,
};

/// Every state, with the name that a filter has for it.
const STATES: [(TcpState, &str); 11] = [
    (Established, "established"),
    (SynSent, "syn-sent"),
    (SynReceived, "syn-recv"),
    (FinWait1, "fin-wait-1"),
    (FinWait2, "fin-wait-2"),
    (TimeWait, "time-wait"),
    (Closed, "closed"),
    (CloseWait, "close-wait"),
    (LastAck, "last-ack"),
    (Listen, "listening"),
    (Closing, "closing"),
];

/// How deep parentheses and `not` may be nested.
const DEEPEST: usize = 64;

/// A set of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u16);

impl States {
    const NONE: States = States(0);
    /// Every state.
    pub const ALL: States = States((1 << STATES.len()) - 1);

    /// What is shown when nobody chose: sockets that are connected.
    pub fn connected() -> States {
        States::named("connected").unwrap_or(States::NONE).without(States::of(&[TimeWait, SynReceived]))
    }

    /// What `-l` shows: listeners, and sockets without connections that are open to everybody.
    pub fn listening() -> States {
        States::of(&[Listen, Closed])
    }

    fn of(states: &[TcpState]) -> States {
        States(STATES.iter().enumerate().filter(|(_, (state, _))| states.contains(state)).map(|(at, _)| 1 << at).sum())
    }

    fn named(name: &str) -> Option<States> {
        Some(match name {
            "all" => States::ALL,
            "connected" => States::ALL.without(States::of(&[Listen, Closed])),
            "synchronized" => States::ALL.without(States::of(&[Listen, Closed, SynSent])),
            "bucket" => States::of(&[SynReceived, TimeWait]),
            "big" => States::ALL.without(States::of(&[SynReceived, TimeWait])),
            name => {
                let known =
                    STATES.iter().find(|(state, known)| *known == name || state.to_string() == name.to_uppercase());
                return known
                    .map(|(state, _)| *state)
                    .or(match name {
                        "estab" => Some(Established),
                        "listen" => Some(Listen),
                        "unconn" | "unconnected" => Some(Closed),
                        _ => None,
                    })
                    .map(|state| States::of(&[state]));
            }
        })
    }

    fn with(self, other: States) -> States {
        States(self.0 | other.0)
    }

    fn without(self, other: States) -> States {
        States(self.0 & !other.0)
    }

    /// Whether it is one of them.
    pub fn contains(self, state: TcpState) -> bool {
        self.0 & States::of(&[state]).0 != 0
    }

    /// Whether there is only one.
    pub fn is_single(self) -> bool {
        self.0.count_ones() == 1
    }
}

/// What a person wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// `None`: nobody said; then the options do.
    pub states: Option<States>,
    expression: Option<Expression>,
}

/// Which end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Port(Side, Comparison, u16),
    Host { side: Side, is_equal: bool, network: Option<(IpAddr, u8)>, port: Option<u16> },
    Name { side: Side, is_equal: bool, pattern: String },
}

/// What is no filter: one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoFilter(String);

impl fmt::Display for NoFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoFilter {}

fn no_filter<T>(sentence: &str) -> Result<T, NoFilter> {
    Err(NoFilter(format!("{sentence}; write it like: state established dport = :443 or sport = :80")))
}

impl Filter {
    /// What was typed.
    ///
    /// # Errors
    ///
    /// A sentence about the word that does not fit.
    ///
    /// ```
    /// use tapsock::tools::ss::Filter;
    /// assert!(Filter::parse(&["state", "established", "dport = :443"]).is_ok());
    /// assert!(Filter::parse(&["state", "asleep"]).is_err());
    /// ```
    pub fn parse<T: AsRef<str>>(words: &[T]) -> Result<Filter, NoFilter> {
        let mut tokens = Vec::new();
        for word in words {
            split(word.as_ref(), &mut tokens);
        }
        let mut parser = Parser { tokens, at: 0, depth: 0 };
        let mut filter = Filter::default();
        loop {
            let is_wanted = match parser.peek() {
                Some("state") => true,
                Some("exclude" | "excl") => false,
                _ => break,
            };
            parser.at += 1;
            let name = parser.next("a state")?;
            let Some(states) = States::named(&name.to_lowercase()) else {
                let names = STATES.map(|(_, name)| name).join(", ");
                return no_filter(&format!(
                    "there is no state '{name}'; there are {names}, all, connected, synchronized, bucket and big"
                ));
            };
            let before = filter.states;
            filter.states = Some(match is_wanted {
                true => before.unwrap_or(States::NONE).with(states),
                false => before.unwrap_or(States::ALL).without(states),
            });
        }
        if parser.peek().is_some() {
            filter.expression = Some(parser.or()?);
        }
        match parser.peek() {
            Some(token) => no_filter(&format!("'{token}' does not fit here")),
            None => Ok(filter),
        }
    }

    /// Whether its addresses fit.
    pub fn fits(&self, socket: &Listed) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.fits(socket))
    }
}

/// Words and signs; signs need no blanks around them.
fn split(text: &str, tokens: &mut Vec<String>) {
    for word in text.split_whitespace() {
        let mut rest = word;
        while !rest.is_empty() {
            let sign = ["<=", ">=", "!=", "==", "&&", "||", "(", ")", "<", ">", "=", "!", "&", "|"]
                .into_iter()
                .find(|sign| rest.starts_with(sign));
            let length = match sign {
                Some(sign) => sign.len(),
                None => rest.find(|c: char| "<>=!&|()".contains(c)).unwrap_or(rest.len()),
            };
            tokens.push(rest[..length].to_owned());
            rest = &rest[length..];
        }
    }
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn take(&mut self, signs: &[&str]) -> bool {
        let is_there = self.peek().is_some_and(|token| signs.contains(&token));
        self.at += usize::from(is_there);
        is_there
    }

    fn next(&mut self, what: &str) -> Result<String, NoFilter> {
        match self.tokens.get(self.at) {
            Some(token) => {
                self.at += 1;
                Ok(token.clone())
            }
            None => no_filter(&format!("{what} is missing at the end")),
        }
    }

    fn or(&mut self) -> Result<Expression, NoFilter> {
        let mut left = self.and()?;
        while self.take(&["or", "||", "|"]) {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, NoFilter> {
        let mut left = self.not()?;
        loop {
            // Between two predicates `and` may be left out.
            if !self.take(&["and", "&&", "&"]) && matches!(self.peek(), None | Some("or" | "||" | "|" | ")")) {
                return Ok(left);
            }
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
    }

    fn not(&mut self) -> Result<Expression, NoFilter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return no_filter("this is nested too deeply");
        }
        let expression = if self.take(&["not", "!"]) {
            Expression::Not(Box::new(self.not()?))
        } else if self.take(&["("]) {
            let inner = self.or()?;
            if !self.take(&[")"]) {
                return no_filter("a ')' is missing");
            }
            inner
        } else {
            self.predicate()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn predicate(&mut self) -> Result<Expression, NoFilter> {
        let word = self.next("sport, dport, src or dst")?;
        let (side, is_port) = match word.as_str() {
            "sport" => (Side::Source, true),
            "dport" => (Side::Destination, true),
            "src" => (Side::Source, false),
            "dst" => (Side::Destination, false),
            _ => return no_filter(&format!("'{word}' is none of sport, dport, src and dst")),
        };
        let comparison = self.comparison();
        let value = self.next("what to compare with")?;
        if is_port {
            let digits = value.rsplit(':').next().unwrap_or_default();
            return match digits.parse() {
                Ok(port) => Ok(Expression::Port(side, comparison, port)),
                Err(_) => no_filter(&format!("'{value}' is no port")),
            };
        }
        let is_equal = match comparison {
            Comparison::Equal => true,
            Comparison::NotEqual => false,
            _ => return no_filter(&format!("an address is not larger or smaller than '{value}'")),
        };
        host(side, is_equal, &value)
    }

    fn comparison(&mut self) -> Comparison {
        let comparison = match self.peek() {
            Some("=" | "==" | "eq") => Comparison::Equal,
            Some("!=" | "ne" | "neq") => Comparison::NotEqual,
            Some("<" | "lt") => Comparison::Less,
            Some("<=" | "le" | "leq") => Comparison::LessOrEqual,
            Some(">" | "gt") => Comparison::Greater,
            Some(">=" | "ge" | "geq") => Comparison::GreaterOrEqual,
            _ => return Comparison::Equal,
        };
        self.at += 1;
        comparison
    }
}

/// `ADDRESS[/LENGTH][:PORT]`, with `*` for any, IPv6 in brackets where a port follows; or the name of a Unix socket.
fn host(side: Side, is_equal: bool, value: &str) -> Result<Expression, NoFilter> {
    if let Some(pattern) = value.strip_prefix("unix:").or(value.starts_with(['/', '@']).then_some(value)) {
        return Ok(Expression::Name { side, is_equal, pattern: pattern.to_owned() });
    }
    let value = value.strip_prefix("inet:").or(value.strip_prefix("inet6:")).unwrap_or(value);
    let (address, port) = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => match rest.split_once(':') {
            Some((length, port)) => (format!("{address}{length}"), Some(port)),
            None => (format!("{address}{rest}"), None),
        },
        // More than one colon: IPv6 without a port.
        None => match value.rsplit_once(':') {
            Some((address, port)) if !address.contains(':') => (address.to_owned(), Some(port)),
            _ => (value.to_owned(), None),
        },
    };
    let wrong = || no_filter(&format!("'{value}' is no address"));
    let port = match port {
        None | Some("" | "*") => None,
        Some(port) => match port.parse() {
            Ok(port) => Some(port),
            Err(_) => return wrong(),
        },
    };
    let network = match address.as_str() {
        "" | "*" => None,
        text => {
            let (address, length) =
                text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
            let Ok(address) = address.parse::<IpAddr>() else { return wrong() };
            let longest = if address.is_ipv4() { 32 } else { 128 };
            match length.map_or(Ok(longest), str::parse) {
                Ok(length) if length <= longest => Some((address, length)),
                _ => return wrong(),
            }
        }
    };
    Ok(Expression::Host { side, is_equal, network, port })
}

impl Expression {
    fn fits(&self, socket: &Listed) -> bool {
        match self {
            Expression::And(left, right) => left.fits(socket) && right.fits(socket),
            Expression::Or(left, right) => left.fits(socket) || right.fits(socket),
            Expression::Not(inner) => !inner.fits(socket),
            Expression::Port(side, comparison, port) => {
                // Whoever is connected to nobody has the port 0 there, as in Linux.
                let own = address(socket, *side).map_or(0, |address| address.port());
                socket.family != Family::Unix
                    && match comparison {
                        Comparison::Equal => own == *port,
                        Comparison::NotEqual => own != *port,
                        Comparison::Less => own < *port,
                        Comparison::LessOrEqual => own <= *port,
                        Comparison::Greater => own > *port,
                        Comparison::GreaterOrEqual => own >= *port,
                    }
            }
            Expression::Host { side, is_equal, network, port } => {
                let Some(own) = address(socket, *side) else { return !is_equal };
                let fits = network.is_none_or(|network| is_within(own.ip(), network))
                    && port.is_none_or(|port| own.port() == port);
                fits == *is_equal
            }
            Expression::Name { side, is_equal, pattern } => {
                let name = match side {
                    Side::Source => Some(&socket.local),
                    Side::Destination => socket.peer.as_ref(),
                };
                let fits = socket.family == Family::Unix && name.is_some_and(|name| is_like(name, pattern));
                fits == *is_equal
            }
        }
    }
}

fn address(socket: &Listed, side: Side) -> Option<SocketAddr> {
    let text = match side {
        Side::Source => &socket.local,
        Side::Destination => socket.peer.as_ref()?,
    };
    text.parse().ok()
}

/// Whether an address is in a network; one of the other family is not.
fn is_within(address: IpAddr, (network, length): (IpAddr, u8)) -> bool {
    let mask = |bits: u32| u128::MAX.checked_shl(bits - u32::from(length)).unwrap_or(0);
    match (address.to_canonical(), network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            u128::from(address.to_bits()) & mask(32) == u128::from(network.to_bits()) & mask(32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => address.to_bits() & mask(128) == network.to_bits() & mask(128),
        _ => false,
    }
}

/// A pattern with `*` for any text.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = pattern.rsplit_once('*').map(|(_, last)| last) else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::tests::socket;
    use super::*;

    fn fits(filter: &str, local: &str, peer: Option<&str>) -> bool {
        Filter::parse(&[filter]).unwrap().fits(&socket(local, peer))
    }

    #[test]
    fn ports_and_addresses_are_compared_as_ss_does() {
        let web = ("192.168.69.1:80", Some("10.1.2.3:43210"));
        for (filter, expected) in [
            ("sport = :80", true),
            ("sport :80", true),
            ("sport 80", true),
            ("sport eq 80", true),
            ("sport != :80", false),
            ("dport > :1024", true),
            ("dport>=:43210", true),
            ("dport < :43210", false),
            ("dport le 43210", true),
            ("src 192.168.69.1", true),
            ("src = 192.168.69.1:80", true),
            ("src 192.168.69.1:81", false),
            ("src *:80", true),
            ("dst 10.0.0.0/8", true),
            ("dst != 10.0.0.0/8", false),
            ("dst 11.0.0.0/8", false),
            ("dst 0.0.0.0/0", true),
            ("dst ::/0", false),
            ("not dst 10.0.0.0/8", false),
            ("! sport = :81 and dst 10.1.2.3", true),
            ("sport = :81 or sport = :82 or dport = :43210", true),
            ("sport = :80 dst 10.9.9.9", false),
            ("( sport = :80 or sport = :81 ) and ( dst 10.9.9.9 or dst 10.1.2.3 )", true),
            ("sport = :1 and sport = :2 or sport = :80", true),
            ("(sport=:80)&&!(dport=:1)", true),
        ] {
            assert_eq!(fits(filter, web.0, web.1), expected, "{filter}");
        }
        assert!(fits("src fd69::1", "[fd69::1]:80", None));
        assert!(fits("src [fd69::1]:80", "[fd69::1]:80", None));
        assert!(fits("src [fd69::]/64:80", "[fd69::1]:80", None));
        assert!(!fits("dst 10.1.2.3", "0.0.0.0:80", None) && fits("dport = :0", "0.0.0.0:80", None));
        assert!(fits("src /run/*", "/run/db", None) && !fits("src /run/*", "/var/db", None));
        assert!(fits("src unix:*b", "/run/db", None) && fits("src @bus", "@bus", None));
        assert!(!fits("sport != :80", "/run/db", None), "a name has no port");
    }

    #[test]
    fn states_have_the_names_of_ss() {
        let states = |text: &str| Filter::parse(&[text]).unwrap().states.unwrap();
        assert_eq!(states("state established"), States::of(&[Established]));
        assert!(states("state ESTAB").is_single() && states("state time-wait").contains(TimeWait));
        assert_eq!(states("state syn-sent state listening"), States::of(&[SynSent, Listen]));
        assert_eq!(states("state connected exclude syn-sent"), states("state synchronized"));
        assert_eq!(states("state bucket state big"), States::ALL);
        assert_eq!(states("exclude listening exclude closed"), states("state connected"));
        let both = Filter::parse(&["state", "established", "( sport = :80 )"]).unwrap();
        assert!(both.states.is_some() && both.fits(&socket("1.2.3.4:80", None)));
    }

    #[test]
    fn what_is_no_filter_gets_one_sentence() {
        for (text, sentence) in [
            ("state asleep", "there is no state 'asleep'"),
            ("state", "a state is missing at the end"),
            ("port = :80", "'port' is none of sport, dport, src and dst"),
            ("sport", "what to compare with is missing at the end"),
            ("sport = :http", "':http' is no port"),
            ("sport = :65536", "':65536' is no port"),
            ("dst < 10.0.0.1", "an address is not larger"),
            ("dst 10.0.0", "'10.0.0' is no address"),
            ("dst 10.0.0.0/33", "'10.0.0.0/33' is no address"),
            ("( sport = :80", "a ')' is missing"),
            ("sport = :80 )", "')' does not fit here"),
            ("sport = :80 or", "is missing at the end"),
        ] {
            let error = Filter::parse(&[text]).unwrap_err().to_string();
            assert!(error.contains(sentence) && error.contains("write it like"), "{text}: {error}");
        }
        let deep = "( ".repeat(10_000) + "sport = :80";
        assert!(Filter::parse(&[deep]).unwrap_err().to_string().contains("nested too deeply"));
    }
}
