//! What can be typed after `tapsock explain`.

use std::path::PathBuf;

use clap::Args;

use crate::tools::explain;

const EXAMPLES: &str = "\
What to try:
  sudo tcpdump -i tap0 -c 10 -w ping.pcap &  ping -c 3 192.168.69.1
  tapsock explain ping.pcap                  every packet
  tapsock explain --packet 3 ping.pcap       one, with all its data and all words of its checksums
  sudo tcpdump -i tap0 -c 1 -x | tapsock explain --hex -
  echo 4500001c00000000400166df0a0000010a0000020800f7ff00000000 | tapsock explain --hex -

Exit codes: 0 if no packet is damaged, 1 if one is, 2 if the file is no capture.";

/// The arguments of `tapsock explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// A capture: pcap or pcapng; or - for stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Only this packet, the first being 1, with everything about it
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub packet: Option<u64>,

    /// FILE is text: hexadecimal numbers, plain or as xxd, hexdump -C and tcpdump -x or -xx write them
    ///
    /// Whether a packet begins with its Ethernet or its IP header is seen from its bytes.
    #[arg(long)]
    pub hex: bool,
}

impl From<Explain> for explain::Explain {
    fn from(arguments: Explain) -> explain::Explain {
        explain::Explain { file: arguments.file, packet: arguments.packet, is_hex: arguments.hex }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::arguments::{Arguments, Command};
    use super::*;

    #[test]
    fn what_is_typed_after_explain_is_what_is_asked() {
        let arguments = Arguments::try_parse_from("tapsock explain --hex --packet 3 -".split(' ')).unwrap();
        let Command::Explain(typed) = arguments.command else { panic!() };
        assert_eq!(explain::Explain::from(typed), explain::Explain { file: "-".into(), packet: Some(3), is_hex: true });
        for line in ["tapsock explain", "tapsock explain -p 0 x.pcap"] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err());
        }
    }
}
