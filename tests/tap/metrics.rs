//! What a daemon has counted: for Prometheus, and for a person.

use serde_json::Value;

use crate::host::{Host, Said, URLS, V4, command, finish, run};
use crate::namespace::alone;

fn stats(line: &str) -> Said {
    finish(command("timeout").args(["20", env!("CARGO_BIN_EXE_tapsock"), "stats"]).args(line.split_whitespace()))
}

#[test]
fn what_a_daemon_has_counted_is_shown_over_http_and_over_its_control_socket() {
    alone(|| {
        let _host = Host::start(&["--services", "http"]);
        run(&format!("ping -c 3 -i 0.2 {V4}")).well();
        let page = run(&format!("curl -sSf --noproxy * {}/metrics", URLS[0])).well();
        for line in [
            "tapsock_rule_applied_total{rule=\"icmp.answer.echo\"} 3",
            "tapsock_rule_frames_sent_total{rule=\"icmp.answer.echo\"} 3",
            "tapsock_sockets{network=\"tcp\",state=\"LISTEN\"} 2",
            "tapsock_sockets{network=\"tcp\",state=\"ESTABLISHED\"} 1",
        ] {
            assert!(page.lines().any(|known| known == line), "{line} is not in\n{page}");
        }
        let families = |page: &str| -> Vec<String> {
            page.lines().filter(|line| line.starts_with("# TYPE")).map(str::to_owned).collect()
        };
        assert_eq!(families(&stats("--openmetrics").well()), families(&page));

        let figures: Value = serde_json::from_str(&stats("--json").well()).unwrap();
        assert_eq!(figures["rules"]["icmp.answer.echo"], 3);
        assert!(figures["rounds"]["count"].as_u64() > Some(0) && figures["resident"].as_u64() > Some(0), "{figures}");
        let shown = stats("--watch 0.1 --count 2").well();
        assert_eq!(shown.matches("after its start").count(), 2, "{shown}");
        assert!(shown.contains("3 × icmp.answer.echo"), "{shown}");
    });
}
