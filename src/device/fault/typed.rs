//! What a bad wire does, as a person types it.

use std::str::FromStr;
use std::time::Duration;

use super::{FaultConfig, Wire};
use crate::config::Invalid;

const EXAMPLE: &str = "write it like loss=0.02,delay=10ms,seed=7, or in.loss=0.02 for one direction only";

/// A setting and its value, separated by commas: `loss`, `duplication`, `reordering` and `corruption` are chances,
/// `delay` and `jitter` are milliseconds. With `in.` or `out.` before it a setting is for what comes to the stack or
/// leaves it.
impl FromStr for FaultConfig {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<FaultConfig, Invalid> {
        let mut fault = FaultConfig::default();
        for setting in text.split(',') {
            let wrong = || Invalid(format!("'{setting}' says nothing about a wire; {EXAMPLE}"));
            let (name, value) = setting.trim().split_once('=').ok_or_else(wrong)?;
            if name == "seed" {
                fault.seed = value.parse().map_err(|_| wrong())?;
                continue;
            }
            let wires: &mut [&mut Wire] = match name.split_once('.') {
                Some(("in", _)) => &mut [&mut fault.receive],
                Some(("out", _)) => &mut [&mut fault.transmit],
                Some(_) => return Err(wrong()),
                None => &mut [&mut fault.receive, &mut fault.transmit],
            };
            let name = name.split_once('.').map_or(name, |(_, name)| name);
            for wire in wires {
                set(wire, name, value).ok_or_else(wrong)?;
            }
        }
        Ok(fault)
    }
}

fn set(wire: &mut Wire, name: &str, value: &str) -> Option<()> {
    match name {
        "loss" => wire.loss = chance(value)?,
        "duplication" => wire.duplication = chance(value)?,
        "reordering" => wire.reordering = chance(value)?,
        "corruption" => wire.corruption = chance(value)?,
        "delay" => wire.delay = span(value)?,
        "jitter" => wire.jitter = span(value)?,
        _ => return None,
    }
    Some(())
}

fn chance(text: &str) -> Option<f64> {
    let (text, whole) = text.strip_suffix('%').map_or((text, 1.0), |text| (text, 100.0));
    text.parse().ok().map(|chance: f64| chance / whole).filter(|chance| (0.0..=1.0).contains(chance))
}

fn span(text: &str) -> Option<Duration> {
    let millis: f64 = text.strip_suffix("ms").unwrap_or(text).parse().ok()?;
    let span = Duration::try_from_secs_f64(millis / 1e3).ok()?;
    Some(span).filter(|span| *span <= Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_what_the_wire_does() {
        let typed: FaultConfig = "loss=2%,in.delay=10ms,out.delay=2.5,seed=7".parse().unwrap();
        let wire = |delay| Wire { loss: 0.02, delay, ..Wire::default() };
        let (receive, transmit) = (wire(Duration::from_millis(10)), wire(Duration::from_micros(2500)));
        assert_eq!(typed, FaultConfig { seed: 7, receive, transmit });
    }

    #[test]
    fn mistakes_get_a_sentence() {
        for text in ["", "loss", "loss=2", "loss=-1", "loss=nan", "lost=0.1", "up.loss=0.1", "delay=1h", "seed=x"] {
            let refused = text.parse::<FaultConfig>().unwrap_err().to_string();
            assert!(refused.contains("write it like"), "{text}: {refused}");
        }
    }
}
