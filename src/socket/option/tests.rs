use super::check::syn_acks;
use super::*;

/// What Linux 6.18 reads back of TCP_DEFER_ACCEPT.
#[test]
fn a_deferred_accept_is_rounded_up_to_the_next_syn_ack() {
    for (seconds, count) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (30, 5), (120, 7), (248, 9)] {
        assert_eq!(syn_acks(Duration::from_secs(seconds)), count, "{seconds}");
    }
}
