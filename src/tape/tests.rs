use super::*;

fn recorded(ask: impl FnOnce(&Tape)) -> (Vec<u8>, Vec<u8>) {
    let tape = Tape::blank();
    ask(&tape);
    tape.cut()
}

fn never<T>() -> T {
    panic!("there is no program")
}

#[test]
fn what_was_answered_is_answered_again_in_order() {
    let (answers, _) = recorded(|tape| {
        let (one, other) = (tape.witness(), tape.witness());
        assert!(!one.ask(Question::Dropped, || false));
        assert_eq!(other.ask_or(Question::Deliver, 9, || 5_usize), 5);
        assert_eq!(one.ask_bytes(&mut [0; 4], |buffer| buffer.iter_mut().map(|byte| *byte = 7).count() - 1), 3);
        assert_eq!(other.ask_message(|| Some(String::from("hello"))), Some("hello".into()));
        assert_eq!(other.ask_message(|| None::<String>), None);
    });
    let tape = Tape::played();
    let (one, other) = (tape.witness(), tape.witness());
    tape.load(answers, Vec::new());
    assert!(!one.ask(Question::Dropped, never::<bool>));
    assert_eq!(other.ask_or(Question::Deliver, 9, never::<usize>), 5);
    let mut buffer = [0; 4];
    assert_eq!((one.ask_bytes(&mut buffer, |_| never()), buffer), (3, [7, 7, 7, 0]));
    assert_eq!(other.ask_message(never::<Option<String>>), Some("hello".into()));
    assert_eq!(other.ask_message(never::<Option<String>>), None);
    assert_eq!(tape.mismatch(), None);
}

#[test]
fn another_question_and_one_that_is_not_asked_are_noticed() {
    let (answers, _) = recorded(|tape| assert!(tape.witness().ask(Question::Dropped, || true)));
    let tape = Tape::played();
    let witness = tape.witness();
    tape.load(answers.clone(), Vec::new());
    let recorded = Some((Question::Dropped, 1));
    assert_eq!(tape.mismatch(), Some(Mismatch { asked: None, recorded }));
    tape.load(answers, Vec::new());
    assert!(!witness.ask(Question::Shut, never::<bool>));
    assert_eq!(tape.mismatch(), Some(Mismatch { asked: Some((Question::Shut, 1)), recorded }));
}

#[test]
fn damaged_answers_are_a_mismatch_and_no_panic() {
    let (answers, _) = recorded(|tape| {
        let witness = tape.witness();
        witness.ask_bytes(&mut [1; 300], |buffer| buffer.len());
        witness.ask_message(|| Some(vec![1_u8; 20]));
        witness.ask(Question::Unread, || 70_000_usize);
    });
    for at in 0..answers.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = answers.clone();
            damaged[at] ^= flip;
            let tape = Tape::played();
            let witness = tape.witness();
            tape.load(damaged.clone(), Vec::new());
            assert!(witness.ask_bytes(&mut [0; 300], |_| never()) <= 300);
            let _ = witness.ask_message(never::<Option<Vec<u8>>>);
            let _ = witness.ask(Question::Unread, never::<usize>);
            let mut parts = Parts::default();
            parts.add(0, &damaged, false);
            tape.part(parts);
            tape.advance(1);
            assert!(witness.ask_bytes(&mut [0; 10], |_| never()) <= 10);
            let _ = witness.ask(Question::Unread, never::<usize>);
        }
    }
}

#[test]
fn who_does_not_follow_the_tape_reads_all_and_writes_what_was_written_by_then() {
    let (early, _) = recorded(|tape| {
        let witness = tape.witness();
        witness.ask_bytes(&mut [1; 3], |buffer| buffer.len());
        witness.ask(Question::Dropped, || false);
    });
    let (late, _) = recorded(|tape| {
        let witness = tape.witness();
        witness.ask_bytes(&mut [2; 2], |buffer| buffer.len());
        witness.ask(Question::Dropped, || true);
    });
    let tape = Tape::played();
    let witness = tape.witness();
    let mut parts = Parts::default();
    parts.add(10, &early, false);
    parts.add(20, &late, false);
    tape.part(parts);
    tape.advance(10);
    assert_eq!(witness.ask_or(Question::Deliver, 99, never::<usize>), 99);
    assert_eq!(witness.ask_unsent(never), 3);
    assert!(!witness.ask(Question::Dropped, never::<bool>));
    tape.advance(20);
    let mut buffer = [0; 9];
    assert_eq!((witness.ask_bytes(&mut buffer, |_| never()), &buffer[..5]), (5, &[1, 1, 1, 2, 2][..]));
    assert!(witness.ask(Question::Dropped, never::<bool>));
    assert_eq!(tape.mismatch(), None);
}
