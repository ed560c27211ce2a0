//! What an image prints of its deliveries, compared where a machine cannot be stopped at a doorbell.
//!
//! Of every machine there is a report with FRAME lines, as `midflight run --frames` has it. It becomes an
//! observation at `Done` without registers and mailbox.

use super::observe::{DELIVERY_WORDS, Observation, Observations};
use crate::image::Image;
use crate::machines::transcript;
use crate::report::difference::QUADWORDS;
use crate::report::outcome::{Outcome, Report};
use protocol::doorbell::Doorbell;

/// The quadwords of a FRAME line, in its order, as places in [`QUADWORDS`]: the frame, CR2, DR6, IA32_XFD_ERR.
pub(crate) const PRINTED: [usize; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 13, 14, 18];
/// All of them.
pub(super) const ALL: [usize; QUADWORDS.len()] = {
    let mut all = [0; QUADWORDS.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = index;
        index += 1;
    }
    all
};

/// What a report says, at `Done`; nothing if the case came to no verdict.
pub(crate) fn observations(image: &Image, report: Report) -> Observations {
    let deliveries = report.frames.iter().filter_map(|line| words(line)).collect();
    let verdict = matches!(report.outcome, Outcome::Pass | Outcome::Fail | Outcome::Known);
    let index = image.case(&report.scenario.case).map(|(index, _)| index).filter(|_| verdict);
    let done = index.map(|index| Observation {
        doorbell: Doorbell::Done(index).encode(),
        registers: Vec::new(),
        mailbox: Vec::new(),
        deliveries,
    });
    Observations { observations: done.into_iter().collect(), report }
}

fn words(line: &str) -> Option<Vec<u64>> {
    let printed = transcript::frame(line.strip_prefix("FRAME ")?, line)?;
    let mut words = vec![0; DELIVERY_WORDS];
    for (place, value) in PRINTED.into_iter().zip(printed.values) {
        words[place] = value;
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_s_values_are_in_the_places_of_the_delivery() {
        let names = PRINTED.map(|place| QUADWORDS[place].1);
        assert_eq!((names[0], names[7]), ("error code", "reserved"));
        assert_eq!(names[8..], ["CR2", "DR6", "XFD_ERR"]);
        let values: Vec<String> = (1..=11).map(|value| format!("{value:016x}")).collect();
        let words = words(&format!("FRAME pf/x 0 fred {}", values.join(" "))).unwrap();
        assert_eq!(words[..20], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 9, 10, 0, 0, 0, 11, 0]);
        assert!(words[20..].iter().all(|word| *word == 0) && words.len() == DELIVERY_WORDS);
    }
}
