//! What a daemon recorded on a TAP happens again without one.

use std::os::unix::fs::PermissionsExt;

use crate::host::{Host, Said, URLS, command, finish, run};
use crate::namespace::alone;

fn replay(file: &str, args: &[&str]) -> Said {
    finish(command(env!("CARGO_BIN_EXE_tapsock")).arg("replay").arg(file).args(args))
}

#[test]
fn a_session_over_a_bad_wire_is_the_same_in_its_replay() {
    alone(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (recording, upload) = (path("session.rec"), path("upload"));
        std::fs::write(&upload, vec![7; 3_000_000]).unwrap();
        let fault = "loss=1%,reordering=1%,delay=1ms,seed=7";
        let host = Host::start(&["--services", "all", "--record", &recording, "--fault", fault]);
        for url in URLS {
            let curl = "curl -gsSf --noproxy * --max-time 60 -o /dev/null";
            run(&format!("{curl} {url}/bytes?n=6000000")).well();
            run(&format!("{curl} -T {upload} {url}/discard")).well();
            run(&format!("{curl} {url}/")).well();
        }
        run("ping -c 3 -i 0.2 192.168.69.1").well();
        host.stop("INT");
        let mode = std::fs::metadata(&recording).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "there is what programs said in it");

        let said = replay(&recording, &[]).well();
        assert!(said.ends_with("the same, byte for byte\n"), "{said}");
        let numbers: Vec<u64> =
            said.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
        assert!(numbers.iter().any(|frames| *frames >= 10_000), "{said}");

        let segments = replay(&recording, &["--depth", "segment"]).well();
        for part in [" write ", "SYN-RECEIVED ⇒ ESTABLISHED", "segment out", "seq 0"] {
            assert!(segments.contains(part), "{part} is not in the replay");
        }
        let capture = path("session.pcapng");
        replay(&recording, &["-w", &capture]).well();
        let bytes = std::fs::read(&capture).unwrap();
        assert!(bytes[..300].windows(4).any(|name| name == b"tap0"), "it has the name of the interface");
        assert!(std::fs::metadata(&capture).unwrap().len() > 18_000_000);
        let changed = replay(&recording, &["--without-loss", "--drop", "100"]).well();
        assert!(changed.contains("frames changed on the way in"), "{changed}");
    });
}

#[test]
fn what_is_no_recording_is_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("other");
    std::fs::write(&file, b"GIF89a").unwrap();
    let said = replay(file.to_str().unwrap(), &[]).refusal();
    assert!(said.contains("no recording of tapsock"), "{said}");
    let said = replay("/nowhere", &[]).refusal();
    assert!(said.contains("--record"), "{said}");
}
