//! The client that both servers are measured with: one TCP stream of the kernel's, in one direction.
//!
//! `stream send ADDRESS:PORT SECONDS` or `stream receive ADDRESS:PORT SECONDS` prints bytes per second.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Slow start is not what is measured.
const WARM_UP: Duration = Duration::from_millis(300);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [direction, address, seconds] = args.as_slice() else {
        return Err("usage: stream send|receive ADDRESS:PORT SECONDS".into());
    };
    let address: SocketAddr = address.parse()?;
    let time = Duration::try_from_secs_f64(seconds.parse()?)?;

    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut buffer = vec![0x55; 64 * 1024];
    let mut step: Box<dyn FnMut() -> std::io::Result<usize>> = match direction.as_str() {
        "send" => Box::new(move || stream.write(&buffer)),
        "receive" => Box::new(move || stream.read(&mut buffer)),
        other => return Err(format!("'{other}' is neither send nor receive").into()),
    };

    let mut run = |time: Duration| -> Result<f64, Box<dyn Error>> {
        let begin = Instant::now();
        let mut bytes = 0;
        while begin.elapsed() < time {
            match step()? {
                0 => return Err("the server closed the stream".into()),
                n => bytes += n,
            }
        }
        Ok(bytes as f64 / begin.elapsed().as_secs_f64())
    };
    run(WARM_UP)?;
    println!("{:.0}", run(time)?);
    Ok(())
}
