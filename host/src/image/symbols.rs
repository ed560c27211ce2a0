//! The image's symbols, for addresses in reports.

use goblin::elf::Elf;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Code symbols, sorted by address, with their names as the compiler writes them: few are ever shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Symbols(Vec<(u64, String)>);

/// How far after a symbol an address still counts as part of it: larger than any function here.
const REACH: u64 = 0x4000;

impl Symbols {
    pub(super) fn of(elf: &Elf<'_>) -> Self {
        let mut symbols: Vec<_> = elf
            .syms
            .iter()
            .filter(|symbol| symbol.st_value != 0 && symbol.st_shndx != 0)
            .filter_map(|symbol| Some((symbol.st_value, elf.strtab.get_at(symbol.st_name)?)))
            .filter(|(_, name)| !name.is_empty() && !name.starts_with(".L"))
            .map(|(address, name)| (address, name.to_owned()))
            .collect();
        symbols.sort();
        Self(symbols)
    }

    pub(super) fn find(&self, address: u64) -> Address {
        let after = self.0.partition_point(|(at, _)| *at <= address);
        let before = after.checked_sub(1).map(|index| &self.0[index]);
        let symbol = before.filter(|(at, _)| address - at < REACH);
        let shown = |name: &str| format!("{:#}", rustc_demangle::demangle(name));
        Address { value: address, symbol: symbol.map(|(at, name)| (shown(name), address - at)) }
    }
}

/// An address, and the symbol that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub value: u64,
    /// The symbol before it, and how far before.
    pub symbol: Option<(String, u64)>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, symbol } = self;
        match symbol {
            Some((name, 0)) => write!(f, "{name} ({value:#x})"),
            Some((name, offset)) => write!(f, "{name}+{offset:#x} ({value:#x})"),
            None => write!(f, "{value:#x}"),
        }
    }
}
