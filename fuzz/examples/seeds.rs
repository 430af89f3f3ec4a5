//! Makes the corpus seeds again, from exchanges that really happen: `cargo run --example seeds` inside fuzz/.
//!
//! A seed of `frames` is what an orderly peer and its programs do, recorded. A seed of `structured` is one kind of
//! action on connections in one state.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use tapsock_fuzz::craft::{self, ACK, FIN, PEER, STACK};
use tapsock_fuzz::frames::{PROGRAMS, REPAIR, span};
use tapsock_fuzz::structured::{Action, Input, KINDS};
use tapsock_fuzz::world::{STATES, World};

/// Every connection is in one state.
fn mask(state: usize) -> u32 {
    3 << (2 * state)
}

/// What happens on the wire, as an input of `frames`.
fn recorded(states: u32, happen: impl FnOnce(&mut World)) -> Vec<u8> {
    let mut world = World::new(states, 1);
    world.record = Some(Vec::new());
    let mut before = world.now;
    happen(&mut world);
    let mut bytes = states.to_le_bytes()[..3].to_vec();
    bytes.push(1);
    for (at, frame) in world.record.take().unwrap_or_default() {
        let control = (0..=16).rev().find(|&n| span(n) <= at - before).unwrap_or(0);
        before = at;
        bytes.push(control | REPAIR);
        bytes.extend_from_slice(&(frame.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&frame);
    }
    world.finish();
    bytes.extend_from_slice(&[0, 2, PROGRAMS]);
    bytes
}

fn exchange(world: &mut World, v6: bool) {
    let peer = world.ask(v6, 3000, 1_000_000);
    world.tell(peer, ACK, 0);
    world.accept();
    world.tell(peer, ACK | 8, 100);
    if let Some(program) = world.programs.len().checked_sub(1) {
        world.read(program, 1000);
        world.write(program, 3000);
        world.step(&[]);
        world.tell(peer, ACK, 0);
        world.shut_down_write(program);
        world.step(&[]);
    }
    world.pass(Duration::from_millis(70));
    world.tell(peer, ACK | FIN, 0);
}

fn main() -> io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(seeds.join(target))?;
        fs::write(seeds.join(target).join(name), bytes)
    };
    for v6 in [false, true] {
        let family = if v6 { "ipv6" } else { "ipv4" };
        write("frames", &format!("exchange-{family}"), &recorded(0, |world| exchange(world, v6)))?;
        write(
            "frames",
            &format!("ping-and-datagrams-{family}"),
            &recorded(0, |world| {
                let (peer, stack) = (PEER.ip(v6), STACK.ip(v6));
                world.step(&[craft::icmp(peer, stack, if v6 { 128 } else { 8 }, 0, &[0, 1, 0, 1, 2, 3])]);
                world.step(&[craft::datagram(peer, stack, (9, 7), b"to a socket")]);
                world.step(&[craft::datagram(peer, stack, (9, 9999), b"to nobody")]);
            }),
        )?;
    }
    for (i, state) in STATES.into_iter().enumerate() {
        write(
            "frames",
            &format!("{state:?}").to_lowercase(),
            &recorded(mask(i), |world| {
                for peer in 0..world.peers.len() {
                    world.tell(peer, ACK, 30);
                    world.tell(peer, ACK | FIN, 0);
                }
            }),
        )?;
    }
    let calm = Action { kind: 0, whom: 0, flags: 0, shape: 0, seq: 0, ack: 0, window: 1000, length: 300 };
    for kind in 1..KINDS.len() as u8 {
        let states = mask(usize::from(kind) % STATES.len()) | mask(0);
        let mut actions: Vec<Action> = (0..8).map(|i| Action { kind, whom: i, flags: i, shape: i, ..calm }).collect();
        // Programs read and write in between, time passes in the end.
        actions.insert(4, Action { kind: 13, flags: 3, ..calm });
        actions.push(Action { kind: 14, flags: 1, ..calm });
        write("structured", &format!("kind-{kind:02}"), &Input { states, shape: kind, actions }.encode())?;
    }
    Ok(())
}
