use super::*;
use crate::device::pair::{End, pair};

const CLEAN: Wire = Wire {
    loss: 0.0,
    duplication: 0.0,
    reordering: 0.0,
    corruption: 0.0,
    delay: Duration::ZERO,
    jitter: Duration::ZERO,
};

fn receiving(wire: Wire, seed: u64) -> (Fault<End>, End) {
    let (near, far) = pair(1500);
    (Fault::new(near, FaultConfig { seed, receive: wire, transmit: CLEAN }).unwrap(), far)
}

fn transmitting(wire: Wire, seed: u64) -> (Fault<End>, End) {
    let (near, far) = pair(1500);
    (Fault::new(near, FaultConfig { seed, receive: CLEAN, transmit: wire }).unwrap(), far)
}

fn drain(device: &mut impl Device, now: Time) -> Vec<Vec<u8>> {
    let mut frame = [0; 1514];
    let mut all = Vec::new();
    while let Some((length, _)) = device.receive(now, &mut frame).unwrap() {
        all.push(frame[..length].to_vec());
    }
    all
}

/// Sends numbered frames, one each millisecond, and notes what arrives when.
fn fates(wire: Wire, seed: u64, frames: u8) -> Vec<(u64, Vec<u8>)> {
    let (mut fault, mut far) = receiving(wire, seed);
    let mut arrived = Vec::new();
    for millis in 0..u64::from(frames) + 100 {
        let now = Time::from_micros(millis * 1000);
        if let Ok(number) = u8::try_from(millis)
            && number < frames
        {
            assert!(far.transmit(now, &[number; 40], Offload::None).unwrap());
        }
        arrived.extend(drain(&mut fault, now).into_iter().map(|frame| (millis, frame)));
    }
    assert_eq!(fault.deadline(Time::from_micros(u64::MAX)), None, "a frame stayed behind");
    arrived
}

#[test]
fn a_clean_wire_changes_nothing() {
    let arrived = fates(CLEAN, 1, 200);
    assert_eq!(arrived.len(), 200);
    for (place, (millis, frame)) in arrived.iter().enumerate() {
        assert_eq!((*millis, frame.as_slice()), (place as u64, [place as u8; 40].as_slice()));
    }
}

#[test]
fn the_same_seed_gives_the_same_fate_and_another_seed_another() {
    let wire = Wire {
        loss: 0.2,
        duplication: 0.2,
        reordering: 0.2,
        corruption: 0.2,
        delay: Duration::from_millis(3),
        jitter: Duration::from_millis(5),
    };
    assert_eq!(fates(wire, 7, 200), fates(wire, 7, 200));
    assert_ne!(fates(wire, 7, 200), fates(wire, 8, 200));
}

#[test]
fn total_loss_loses_everything_and_is_counted() {
    for (mut fault, mut far) in
        [receiving(Wire { loss: 1.0, ..CLEAN }, 1), transmitting(Wire { loss: 1.0, ..CLEAN }, 1)]
    {
        for _ in 0..50 {
            far.transmit(Time::ZERO, &[1; 60], Offload::None).unwrap();
            fault.transmit(Time::ZERO, &[2; 60], Offload::None).unwrap();
        }
        let lost = [drain(&mut fault, Time::ZERO).is_empty(), drain(&mut far, Time::ZERO).is_empty()];
        assert_eq!(lost, [fault.received().lost == 50, fault.transmitted().lost == 50]);
        assert_eq!(lost.iter().filter(|&&lost| lost).count(), 1, "only one direction is bad");
    }
}

#[test]
fn a_tenth_of_loss_loses_about_a_tenth() {
    let (mut fault, mut far) = transmitting(Wire { loss: 0.1, ..CLEAN }, 3);
    let mut arrived = 0;
    for _ in 0..5000 {
        fault.transmit(Time::ZERO, &[1; 60], Offload::None).unwrap();
        arrived += drain(&mut far, Time::ZERO).len();
    }
    assert!((4350..4650).contains(&arrived), "{arrived}");
    assert_eq!(fault.transmitted().lost, 5000 - arrived as u64);
}

#[test]
fn duplication_doubles() {
    let (mut fault, mut far) = transmitting(Wire { duplication: 1.0, ..CLEAN }, 1);
    for number in 0..10u8 {
        fault.transmit(Time::ZERO, &[number; 60], Offload::None).unwrap();
    }
    let arrived = drain(&mut far, Time::ZERO);
    assert_eq!(arrived, (0..20u8).map(|twice| vec![twice / 2; 60]).collect::<Vec<_>>());
    assert_eq!(fault.transmitted().duplicated, 10);
}

#[test]
fn corruption_flips_exactly_one_bit() {
    let (mut fault, mut far) = receiving(Wire { corruption: 1.0, ..CLEAN }, 1);
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..200 {
        far.transmit(Time::ZERO, &[0x5a; 61], Offload::None).unwrap();
        let frame = drain(&mut fault, Time::ZERO).remove(0);
        let flipped: Vec<(usize, u8)> =
            frame.iter().enumerate().map(|(place, byte)| (place, byte ^ 0x5a)).filter(|(_, bits)| *bits != 0).collect();
        assert_eq!(flipped.len(), 1);
        assert_eq!(flipped[0].1.count_ones(), 1);
        places.insert(flipped[0].0);
    }
    assert!(places.len() > 30, "always the same bytes: {places:?}");
    assert_eq!(fault.received().corrupted, 200);
}

#[test]
fn an_empty_frame_has_no_bit_to_flip() {
    let (mut fault, mut far) = receiving(Wire { corruption: 1.0, ..CLEAN }, 1);
    far.transmit(Time::ZERO, &[], Offload::None).unwrap();
    assert_eq!(drain(&mut fault, Time::ZERO), [Vec::<u8>::new()]);
}

#[test]
fn delay_holds_frames_until_the_deadline_it_names() {
    let (mut fault, mut far) = receiving(Wire { delay: Duration::from_millis(20), ..CLEAN }, 1);
    far.transmit(Time::ZERO, &[1; 60], Offload::None).unwrap();
    assert!(drain(&mut fault, Time::ZERO).is_empty());
    let due = fault.deadline(Time::ZERO).unwrap();
    assert_eq!(due, Time::ZERO + Duration::from_millis(20));
    assert!(drain(&mut fault, Time::from_micros(due.micros() - 1)).is_empty());
    assert_eq!(drain(&mut fault, due).len(), 1);
    assert_eq!(fault.deadline(due), None);
}

#[test]
fn a_delayed_frame_leaves_when_receive_is_called_at_the_deadline() {
    let (mut fault, mut far) = transmitting(Wire { delay: Duration::from_millis(20), ..CLEAN }, 1);
    fault.transmit(Time::ZERO, &[1; 60], Offload::None).unwrap();
    let due = fault.deadline(Time::ZERO).unwrap();
    assert!(drain(&mut far, due).is_empty());
    drain(&mut fault, due);
    assert_eq!(drain(&mut far, due).len(), 1);
}

#[test]
fn reordering_lets_later_frames_pass_and_loses_none() {
    let arrived = fates(Wire { reordering: 0.3, ..CLEAN }, 5, 200);
    let order: Vec<u8> = arrived.iter().map(|(_, frame)| frame[0]).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..200).collect::<Vec<u8>>());
    assert_ne!(order, sorted);
    for (place, &number) in order.iter().enumerate() {
        assert!(place.abs_diff(usize::from(number)) <= 12, "{number} arrived at place {place}");
    }
    // One frame a millisecond: three later ones have passed long before the longest hold is over.
    let late: Vec<u64> =
        arrived.iter().map(|(millis, frame)| millis - u64::from(frame[0])).filter(|&late| late > 0).collect();
    assert!(late.len() > 30, "{late:?}");
    assert!(late.iter().filter(|&&late| late >= 10).count() < 5, "{late:?}");
}

#[test]
fn a_reordered_frame_that_nobody_passes_still_arrives() {
    let (mut fault, mut far) = receiving(Wire { reordering: 1.0, ..CLEAN }, 1);
    far.transmit(Time::ZERO, &[1; 60], Offload::None).unwrap();
    assert!(drain(&mut fault, Time::ZERO).is_empty());
    let due = fault.deadline(Time::ZERO).unwrap();
    assert_eq!(due, Time::ZERO + LONGEST_HOLD);
    assert_eq!(drain(&mut fault, due).len(), 1);
}

#[test]
fn a_full_device_keeps_the_frames_and_is_tried_again() {
    let (mut fault, mut far) = transmitting(CLEAN, 1);
    let mut taken = 0usize;
    while fault.transmit(Time::ZERO, &(taken as u64).to_be_bytes(), Offload::None).unwrap() {
        taken += 1;
    }
    assert!(taken >= 1024, "{taken}");
    let retry = fault.deadline(Time::ZERO).unwrap();
    assert!(retry > Time::ZERO, "a deadline in the past would make the engine spin");
    let mut arrived = drain(&mut far, Time::ZERO);
    drain(&mut fault, retry);
    arrived.extend(drain(&mut far, retry));
    let order: Vec<u64> =
        arrived.iter().map(|frame| u64::from_be_bytes(frame.as_slice().try_into().unwrap())).collect();
    assert_eq!(order, (0..taken as u64).collect::<Vec<_>>());
    assert_eq!(fault.deadline(retry), None);
}

#[test]
fn chances_outside_0_to_1_are_refused() {
    for chance in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        for wire in [
            Wire { loss: chance, ..CLEAN },
            Wire { duplication: chance, ..CLEAN },
            Wire { reordering: chance, ..CLEAN },
            Wire { corruption: chance, ..CLEAN },
        ] {
            let (near, _far) = pair(1500);
            assert!(Fault::new(near, FaultConfig { seed: 0, receive: CLEAN, transmit: wire }).is_err());
        }
    }
}
