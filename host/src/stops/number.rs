//! Numbers in ids.

use std::str::FromStr;

/// One spelling for each id: no sign, no leading zero.
pub(super) fn number<N: FromStr + ToString>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}
