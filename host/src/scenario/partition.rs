//! A part of the scenarios, for runs that are split: the same ids are in the same part every time, on every host.

use super::Scenario;
use crc::{CRC_32_ISO_HDLC, Crc};
use std::fmt;
use std::str::FromStr;

/// CRC-32, as `cksum -a crc32b` computes it.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Part `number` of `count`, counted from 1: the ids whose CRC-32 modulo `count` is `number - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    number: u32,
    count: u32,
}

impl Partition {
    /// Each of `count` parts.
    pub fn all(count: u32) -> impl Iterator<Item = Self> {
        (1..=count).map(move |number| Self { number, count })
    }

    /// Whether a scenario is in this part.
    pub fn has(self, scenario: &Scenario) -> bool {
        CRC.checksum(scenario.to_string().as_bytes()) % self.count == self.number - 1
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Partition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = "a partition is K/N, with K from 1 to N: 2/3 is the second of three parts";
        let (number, count) = text.split_once('/').ok_or(problem)?;
        match (number.parse(), count.parse()) {
            (Ok(number), Ok(count)) if (1..=count).contains(&number) => Ok(Self { number, count }),
            _ => Err(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_is_in_one_part_and_always_in_the_same() {
        let scenario = |case: u32| format!("pf/case-{case}:idt:cold").parse::<Scenario>().unwrap();
        for count in [1, 2, 3, 7] {
            let mut sizes = vec![0; count as usize];
            for case in 0..300 {
                let of: Vec<usize> = Partition::all(count)
                    .enumerate()
                    .filter_map(|(index, part)| part.has(&scenario(case)).then_some(index))
                    .collect();
                assert_eq!(of.len(), 1, "{case} of {count}");
                sizes[of[0]] += 1;
            }
            assert!(sizes.iter().all(|size| *size >= 200 / count), "{sizes:?}");
        }
        // printf pf/read-unmapped:idt:cold | cksum -a crc32b
        assert_eq!(CRC.checksum(b"pf/read-unmapped:idt:cold"), 0x33FA_CB7F);
    }

    #[test]
    fn what_is_no_part_is_refused() {
        assert_eq!("2/3".parse::<Partition>().map(|part| part.to_string()).as_deref(), Ok("2/3"));
        for wrong in ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", " 1/2"] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }
}
