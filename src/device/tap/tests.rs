use super::*;

#[test]
fn names_that_no_interface_can_have_are_refused_with_a_sentence() {
    for name in ["", ".", "..", "a b", "a/b", "a:b", "tap%d", "sixteen-bytes-it", "tab\there", "nul\0"] {
        let error = Tap::open(name).unwrap_err();
        assert_eq!(error.failure, OpenFailure::Name, "{name}");
        assert!(!error.to_string().contains(['\t', '\0']), "{error}");
    }
    for name in ["tap0", "t", "fifteen-bytes-i", "wg.home_1"] {
        assert!(check_name(name).is_ok(), "{name}");
    }
}

#[test]
fn an_absent_interface_is_not_made() {
    let error = Tap::open("tapsock-absent").unwrap_err();
    // A machine without the driver has no node at all.
    assert!(matches!(error.failure, OpenFailure::Absent | OpenFailure::NoNode), "{error:?}");
    assert!(ioctl::interface("tapsock-absent").is_err());
}

#[test]
fn every_failure_says_what_to_do() {
    let what_to_do = [
        (OpenFailure::Name, "tap0"),
        (OpenFailure::NoNode, "modprobe tun"),
        (OpenFailure::NodeForbidden, "scripts/tap-up.sh --name tap7 --user $USER"),
        (OpenFailure::Absent, "scripts/tap-up.sh --name tap7 --user $USER"),
        (OpenFailure::Down, "scripts/tap-up.sh --name tap7 --user $USER"),
        (OpenFailure::NotOwner, "scripts/tap-up.sh --name tap7 --user $USER"),
        (OpenFailure::Busy, "--tap"),
        (OpenFailure::NotATap, "--tap"),
    ];
    for (failure, advice) in what_to_do {
        let sentence = OpenError { name: "tap7".into(), failure }.to_string();
        assert!(sentence.contains(advice), "{sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
    let default = OpenError { name: "tap0".into(), failure: OpenFailure::Absent }.to_string();
    assert!(default.contains("there is no interface tap0; run 'sudo scripts/tap-up.sh --user $USER'"), "{default}");
}

#[test]
fn the_kernels_refusals_are_told_apart() {
    let told = |errno: Errno| why(&io::Error::from_raw_os_error(errno as i32));
    assert_eq!(told(Errno::EACCES), OpenFailure::NodeForbidden);
    assert_eq!(told(Errno::EPERM), OpenFailure::NotOwner);
    assert_eq!(told(Errno::EBUSY), OpenFailure::Busy);
    assert_eq!(told(Errno::EINVAL), OpenFailure::NotATap);
    assert_eq!(told(Errno::ENOENT), OpenFailure::NoNode);
    assert!(matches!(told(Errno::ENOMEM), OpenFailure::Other(_)));
}

#[test]
fn only_a_deleted_interface_has_vanished() {
    let vanished = |errno: Errno| super::vanished(&io::Error::from_raw_os_error(errno as i32));
    assert!(vanished(Errno::EBADFD));
    assert!(!vanished(Errno::EIO), "a TAP that is down comes back");
    assert!(!vanished(Errno::EAGAIN));
    assert!(!vanished(Errno::ENOBUFS));
}
