//! The small services of old, and a page that explains the connection it comes through.
//!
//! | service | port | what it does |
//! |---|---|---|
//! | [`Echo`](Service::Echo) | 7, TCP and UDP | sends back what comes (RFC 862) |
//! | [`Discard`](Service::Discard) | 9, TCP and UDP | takes what comes (RFC 863) |
//! | [`Daytime`](Service::Daytime) | 13, TCP | says what time it is (RFC 867) |
//! | [`Chargen`](Service::Chargen) | 19, TCP | sends printable characters without end (RFC 864) |
//! | [`Http`](Service::Http) | 80, TCP | the page, [bytes on demand, a sink for uploads, metrics](http) |
//!
//! They are programs like any other: they hold sockets of [`net`](crate::net) and know nothing of what is below.
//! They run as tasks of the caller's runtime. On the engine's own thread, a byte goes from the wire to a service
//! and back without a thread switch.
//!
//! Bounds: each service has at most 4096 connections at once, and accepts the next when one of them
//! ends; until then it waits in the accept queue.

mod accept;
mod chargen;
mod daytime;
mod discard;
mod echo;
pub mod http;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use self::http::Metrics;
use crate::net::Stack;
use crate::net::tokio::{TcpListener, TcpStream, UdpSocket};

/// Connections that one service has at once.
const CONNECTIONS: usize = 4096;

/// What a service that moves bytes holds of them at once.
const BUFFER: usize = 64 * 1024;

/// All addresses of each family. Two sockets, so that each shows its peers as they are and not as `::ffff:…`.
const WILDCARDS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// A service that a stack can offer.
///
/// ```
/// use tapsock::services::Service;
/// let service: Service = "echo".parse()?;
/// assert_eq!(service.port(), 7);
/// assert_eq!(Service::ALL.len(), 5);
/// # Ok::<(), tapsock::services::UnknownService>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// RFC 862.
    Echo,
    /// RFC 863.
    Discard,
    /// RFC 867.
    Daytime,
    /// RFC 864.
    Chargen,
    /// RFC 9112.
    Http,
}

impl Service {
    /// All of them, in the order of their ports.
    pub const ALL: &'static [Service] =
        &[Service::Echo, Service::Discard, Service::Daytime, Service::Chargen, Service::Http];

    /// The port it has by RFC 6335.
    pub const fn port(self) -> u16 {
        match self {
            Service::Echo => 7,
            Service::Discard => 9,
            Service::Daytime => 13,
            Service::Chargen => 19,
            Service::Http => 80,
        }
    }

    /// How many sockets it listens on: of both families, and, where the RFC has it so, for TCP and for UDP.
    pub const fn sockets(self) -> usize {
        match self {
            Service::Echo | Service::Discard => 4,
            Service::Daytime | Service::Chargen | Service::Http => 2,
        }
    }

    /// The name by which a person chooses it.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Echo => "echo",
            Service::Discard => "discard",
            Service::Daytime => "daytime",
            Service::Chargen => "chargen",
            Service::Http => "http",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(name: &str) -> Result<Service, UnknownService> {
        let service = Service::ALL.iter().find(|service| service.name() == name);
        service.copied().ok_or_else(|| UnknownService(name.to_owned()))
    }
}

/// There is no service of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownService(pub String);

impl fmt::Display for UnknownService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no service '{}'; there are", self.0)?;
        for (i, service) in Service::ALL.iter().enumerate() {
            write!(f, "{} {service}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownService {}

/// Offers `which` on all addresses of `stack`, as tasks of the current runtime. Returns once every socket is bound.
///
/// The tasks end when the stack stops, and with the runtime.
///
/// ```
/// use std::io::Read;
/// use std::time::Duration;
/// use tapsock::config::Config;
/// use tapsock::net::{Stack, TcpStream};
/// use tapsock::services::{self, Service};
///
/// let config = |address: &str| Config {
///     addresses: vec![address.parse().unwrap()],
///     probe: Duration::ZERO,
///     ..Config::default()
/// };
/// let server = Stack::builder().config(config("10.0.0.1/24"));
/// let client = Stack::builder().config(Config { mac: "02:00:00:00:00:02".parse()?, ..config("10.0.0.2/24") });
/// let (server, client) = server.pair(client)?;
///
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// runtime.block_on(services::run(server, &[Service::Daytime]))?;
/// std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
///
/// let mut text = String::new();
/// TcpStream::connect(&client, "10.0.0.1:13".parse()?)?.read_to_string(&mut text)?;
/// assert!(text.contains("day, "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If a port is taken, or the stack has stopped; the message names the service and the address.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run(stack: Stack, which: &[Service]) -> io::Result<()> {
    run_with(stack, which, None).await
}

/// [`run`], and the HTTP service shows `metrics` at `/metrics`.
///
/// # Errors
///
/// As [`run`].
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run_with(stack: Stack, which: &[Service], metrics: Option<Metrics>) -> io::Result<()> {
    for &service in which {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let stack = stack.labelled(&format!("service:{service}"));
        for address in WILDCARDS {
            let local = SocketAddr::new(address, service.port());
            start(&stack, service, local, (&connections, &metrics)).await.map_err(|error| {
                io::Error::new(error.kind(), format!("{service} cannot listen on {local}: {error}"))
            })?;
        }
    }
    Ok(())
}

async fn start(
    stack: &Stack,
    service: Service,
    local: SocketAddr,
    (connections, metrics): (&Arc<Semaphore>, &Option<Metrics>),
) -> io::Result<()> {
    match service {
        Service::Echo => {
            listen(stack, local, connections, echo::stream).await?;
            tokio::spawn(echo::datagrams(UdpSocket::bind_one_family(stack, local).await?));
        }
        Service::Discard => {
            listen(stack, local, connections, discard::stream).await?;
            tokio::spawn(discard::datagrams(UdpSocket::bind_one_family(stack, local).await?));
        }
        Service::Daytime => listen(stack, local, connections, daytime::stream).await?,
        Service::Chargen => listen(stack, local, connections, chargen::stream).await?,
        Service::Http => {
            let metrics = metrics.clone();
            listen(stack, local, connections, move |stream| http::stream(stream, metrics.clone())).await?;
        }
    }
    Ok(())
}

async fn listen<F>(
    stack: &Stack,
    local: SocketAddr,
    connections: &Arc<Semaphore>,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind_one_family(stack, local).await?;
    tokio::spawn(accept::serve(listener, Arc::clone(connections), serve));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_a_name_that_finds_it() {
        for &service in Service::ALL {
            assert_eq!(service.to_string().parse(), Ok(service));
        }
        let sentence = "ftp".parse::<Service>().unwrap_err().to_string();
        assert_eq!(sentence, "there is no service 'ftp'; there are echo, discard, daytime, chargen, http");
    }
}
