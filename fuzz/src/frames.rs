//! The target of raw frames.
//!
//! An input is a mask of the states in which there are connections (4 bytes), the sizes of buffers (1), and then
//! records: a byte that says how much time passes and whether lengths and checksums are repaired, two bytes of length,
//! and a frame. A length whose high byte is 255 is no frame, but its low byte says what programs do.

use std::time::Duration;

use crate::world::World;

/// How many records one input has at most.
const RECORDS: usize = 64;

/// The bit of a record's first byte that repairs the frame.
pub const REPAIR: u8 = 0x80;

/// The high byte of the length of a record that is no frame.
pub const PROGRAMS: u8 = 0xff;

/// How much time a record's first byte stands for: none, or 2ⁿ · 1024 µs, up to a minute.
pub fn span(control: u8) -> Duration {
    match control & 31 {
        n @ 1..=16 => Duration::from_micros(1024 << n),
        _ => Duration::ZERO,
    }
}

/// One input.
///
/// # Panics
///
/// If the stack breaks a rule.
pub fn run(input: &[u8]) {
    let Some((&[a, b, c, shape], mut rest)) = input.split_first_chunk() else { return };
    let mut world = World::new(u32::from_le_bytes([a, b, c, 0]), shape);
    world.is_coherent = false;
    for _ in 0..RECORDS {
        let Some((&[control, low, high], tail)) = rest.split_first_chunk() else { break };
        rest = tail;
        let span = span(control);
        if !span.is_zero() {
            world.pass(span);
        }
        if high == PROGRAMS {
            act(&mut world, low);
            continue;
        }
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (frame, tail) = rest.split_at(length);
        rest = tail;
        let mut frame = frame.to_vec();
        if control & REPAIR != 0 {
            crate::craft::repair(&mut frame);
        }
        world.step(&[frame]);
    }
    world.finish();
}

fn act(world: &mut World, what: u8) {
    world.accept();
    for program in 0..world.programs.len() {
        match (usize::from(what) + program) % 8 {
            0 | 1 => world.read(program, 1000),
            2 | 3 => world.write(program, 3000),
            4 => world.shut_down_write(program),
            5 => world.shut_down_read(program),
            _ => {}
        }
    }
    if what & 0x40 != 0 && !world.programs.is_empty() {
        world.programs.swap_remove(0);
    }
    world.step(&[]);
}
