//! The image's symbols, for addresses in reports.

use goblin::elf::Elf;

/// Code symbols, sorted by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Symbols(Vec<(u64, String)>);

/// How far behind a symbol an address still counts as part of it: more than any function here.
const REACH: u64 = 0x4000;

impl Symbols {
    pub(super) fn of(elf: &Elf<'_>) -> Self {
        let mut symbols: Vec<_> = elf
            .syms
            .iter()
            .filter(|symbol| symbol.st_value != 0 && symbol.st_shndx != 0)
            .filter_map(|symbol| Some((symbol.st_value, elf.strtab.get_at(symbol.st_name)?)))
            .filter(|(_, name)| !name.is_empty() && !name.starts_with(".L"))
            .map(|(address, name)| (address, format!("{:#}", rustc_demangle::demangle(name))))
            .collect();
        symbols.sort();
        Self(symbols)
    }

    pub(super) fn describe(&self, address: u64) -> String {
        let behind = self.0.partition_point(|(at, _)| *at <= address);
        match behind.checked_sub(1).map(|index| &self.0[index]) {
            Some((at, name)) if address == *at => format!("{name} ({address:#x})"),
            Some((at, name)) if address - at < REACH => format!("{name}+{:#x} ({address:#x})", address - at),
            _ => format!("{address:#x}"),
        }
    }
}
