//! The HTTP service, by curl.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::Command;
use std::thread;

use crate::host::{Host, Said, URLS, command, finish};
use crate::namespace::alone;

const MIB: usize = 1024 * 1024;
const ALL: &[&str] = &["--services", "all"];

fn prepared(args: &[&str]) -> Command {
    let mut curl = command("curl");
    curl.args(["--globoff", "--no-progress-meter", "--noproxy", "*", "--max-time", "60"]).args(args);
    curl
}

#[track_caller]
fn curl(args: &[&str]) -> Said {
    finish(&mut prepared(args))
}

/// The bytes of `/bytes`: byte i is i modulo 251, so that no power of two hides a block in the wrong place.
fn pattern(length: usize) -> impl Iterator<Item = u8> {
    (0..length).map(|i| (i % 251) as u8)
}

/// CRC-32/ISO-HDLC, as of gzip and of Python's zlib.
fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    let mut table = [0u32; 256];
    for (entry, byte) in table.iter_mut().zip(0u32..) {
        *entry = (0..8).fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 });
    }
    !bytes.fold(!0, |crc, byte| (crc >> 8) ^ table[usize::from(crc as u8 ^ byte)])
}

#[test]
fn the_checksum_of_these_tests_is_that_of_gzip() {
    assert_eq!(crc32(b"123456789".iter().copied()), 0xcbf4_3926);
}

#[test]
fn the_page_names_both_ends_of_its_connection() {
    alone(|| {
        let _host = Host::start(ALL);
        for url in URLS {
            let ends = "\n%{local_port}";
            let page = curl(&["--fail", "--write-out", ends, url]).well();
            let (page, port) = page.rsplit_once('\n').unwrap();
            let ours = format!("{}:80", url.trim_start_matches("http://"));
            let theirs = ours.replace("69.1:80", "69.100:").replace("fd69::1]:80", "fd69::100]:") + port;
            assert!(page.contains(&ours), "{ours} is not in: {page}");
            assert!(page.contains(&theirs), "{theirs} is not in: {page}");
        }
    });
}

#[test]
fn the_page_is_json_for_who_asks() {
    alone(|| {
        let _host = Host::start(ALL);
        for url in URLS {
            let page = curl(&["--fail", "--header", "Accept: application/json", url]).well();
            let json: serde_json::Value = serde_json::from_str(&page).unwrap();
            let host = url.trim_start_matches("http://").trim_matches(['[', ']', '/']);
            assert_eq!(json["local"]["address"], host, "{page}");
            assert_eq!((&json["local"]["port"], &json["state"]), (&80.into(), &"ESTABLISHED".into()), "{page}");
        }
    });
}

#[test]
fn one_connection_carries_several_requests() {
    alone(|| {
        let _host = Host::start(ALL);
        let url = format!("{}/bytes?n=1000", URLS[0]);
        let said = curl(&[
            "--fail",
            "--silent",
            "--output",
            "/dev/null",
            "--output",
            "/dev/null",
            "--write-out",
            "%{num_connects} ",
            &url,
            &url,
        ])
        .well();
        assert_eq!(said, "1 0 ");
    });
}

#[test]
fn a_hundred_mebibytes_come_whole() {
    alone(|| {
        let _host = Host::start(ALL);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("down");
        for (url, length) in [(URLS[0], 100 * MIB), (URLS[1], 100 * MIB), (URLS[0], 0), (URLS[0], 1)] {
            curl(&["--fail", "--output", file.to_str().unwrap(), &format!("{url}/bytes?n={length}")]).well();
            let bytes = std::fs::read(&file).unwrap_or_default(); // curl makes no file of no bytes
            assert_eq!(bytes.len(), length, "{url}");
            assert_eq!(crc32(bytes.into_iter()), crc32(pattern(length)), "{url}");
            let _ = std::fs::remove_file(&file);
        }
    });
}

#[test]
fn a_hundred_mebibytes_arrive_whole() {
    alone(|| {
        let _host = Host::start(ALL);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("up");
        for (url, length) in [(URLS[0], 100 * MIB), (URLS[1], 100 * MIB), (URLS[0], 0), (URLS[0], 1)] {
            let mut writer = BufWriter::new(File::create(&file).unwrap());
            pattern(length).for_each(|byte| writer.write_all(&[byte]).unwrap());
            writer.flush().unwrap();
            let said = curl(&["--fail", "--upload-file", file.to_str().unwrap(), &format!("{url}/discard")]).well();
            let expected = format!("received {length} bytes, crc32 {:08x}", crc32(pattern(length)));
            assert!(said.contains(&expected), "{url}: {said} instead of {expected}");
        }
    });
}

#[test]
fn fifty_connections_at_once_all_succeed() {
    alone(|| {
        let _host = Host::start(ALL);
        let length = 1_000_003;
        let expected = crc32(pattern(length));
        let curls: Vec<_> = (0..50)
            .map(|i| {
                let url = format!("{}/bytes?n={length}", URLS[i % 2]);
                thread::spawn(move || prepared(&["--fail", &url]).output().unwrap())
            })
            .collect();
        for curl in curls {
            let output = curl.join().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(crc32(output.stdout.into_iter()), expected);
        }
    });
}

#[test]
fn a_path_that_is_not_there_is_404_and_a_bad_number_400() {
    alone(|| {
        let _host = Host::start(ALL);
        for (path, status) in [("/nothing", "404"), ("/bytes?n=many", "400"), ("/bytes", "400")] {
            let url = format!("{}{path}", URLS[0]);
            let said = curl(&["--output", "/dev/null", "--write-out", "%{http_code}", &url]).well();
            assert_eq!(said, status, "{path}");
        }
    });
}
