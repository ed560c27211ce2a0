//! x
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DecodeCache {}
