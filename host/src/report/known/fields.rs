//! A field that an entry describes: one that a judge, a restore or a comparison compares, and its values.
//!
//! A failure in any other field can never be, so that a list which names one is wrong.

use super::error::Problem;
use crate::report::{Difference, Field, Seen, When};
use protocol::field::Field as Judged;
use serde::Deserialize;
use vm::{Value, state};

/// A field as it is written in a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenField {
    name: String,
    /// Which of the case's deliveries, or of those captured at a doorbell.
    delivery: Option<u32>,
    /// The doorbell at which `midflight compare` sees it.
    at: Option<When>,
    /// Whether it is a restore that compares it, and not the judge.
    #[serde(default)]
    restored: bool,
    /// The bit that alone differs.
    bits: Option<String>,
    expected: Option<WrittenValue>,
    got: Option<WrittenValue>,
}

/// TOML's integers have 63 bits and a sign; what is larger is a text in hexadecimal.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenValue {
    Number(u64),
    Text(String),
}

/// What an entry says of a field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedField {
    field: Field,
    /// The bit that alone differs: the values are then its own.
    bit: Option<u64>,
    /// None for an address, which moves whenever the images are built anew.
    expected: Option<Value>,
    got: Option<Value>,
}

impl DescribedField {
    /// Whether it describes a field that differed.
    pub(super) fn describes(&self, difference: &Difference) -> bool {
        let Difference { field, expected, got } = difference;
        self.is_of(*field)
            && match (self.bit, expected, got) {
                (Some(bit), Value::Number(expected), Value::Number(got)) => {
                    let of = |number: &u64| Some(Value::from(u64::from(number & bit != 0)));
                    expected ^ got == bit && of(expected) == self.expected && of(got) == self.got
                }
                (Some(_), _, _) => false,
                (None, expected, got) => {
                    let is = |described: &Option<Value>, value: &Value| {
                        described.as_ref().is_none_or(|described| described == value)
                    };
                    is(&self.expected, expected) && is(&self.got, got)
                }
            }
    }

    fn is_of(&self, field: Field) -> bool {
        match (self.field, field) {
            (Field::Judged { number, delivery: None }, Field::Judged { number: other, .. }) => {
                number == other
            }
            (described, field) => described == field,
        }
    }
}

impl WrittenField {
    /// The field, if there is one like it and its values can be.
    pub(super) fn check(&self) -> Result<DescribedField, Problem> {
        let field = self.field().ok_or(Problem::Field(self.name.clone()))?;
        let value = |written: &Option<WrittenValue>| match written {
            None => Ok(None),
            Some(WrittenValue::Number(number)) => Ok(Some(Value::Number(*number))),
            Some(WrittenValue::Text(text)) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(Problem::Value { value: text.clone(), field: self.name.clone() }),
            },
        };
        let (expected, got) = (value(&self.expected)?, value(&self.got)?);
        if (expected.is_none() || got.is_none()) && !field.is_address() {
            return Err(Problem::AnyValue(self.name.clone()));
        }
        let bit = match &self.bits {
            None => None,
            Some(name) => Some(bit(field, name).ok_or(Problem::Bit(name.clone(), self.name.clone()))?),
        };
        let values = [&expected, &got].map(|value| value.as_ref().map(ToString::to_string));
        let are_bits = values.iter().flatten().all(|value| value == "0x0" || value == "0x1");
        if bit.is_some() && (!are_bits || expected == got) {
            return Err(Problem::BitValue(self.name.clone()));
        }
        Ok(DescribedField { field, bit, expected, got })
    }

    fn field(&self) -> Option<Field> {
        match (self.at, self.restored) {
            (Some(when), false) => {
                let delivery = self.delivery.map(usize::try_from).transpose().ok()?;
                Some(Field::Seen(Seen::named(&self.name, delivery)?, when))
            }
            (None, true) if self.delivery.is_none() => {
                self.name.parse::<state::Field>().ok().map(Field::Restored)
            }
            (None, false) => Judged::named(&self.name).map(|field| Field::judged(field, self.delivery)),
            (_, true) => None,
        }
    }
}

/// Bits that have a name, SDM vol. 1, 3.4.3, and vol. 3, 18.2.
fn bit(field: Field, name: &str) -> Option<u64> {
    const RFLAGS: [(&str, u32); 6] = [("TF", 8), ("IF", 9), ("NT", 14), ("RF", 16), ("VM", 17), ("AC", 18)];
    const DR6: [(&str, u32); 6] = [("B0", 0), ("B1", 1), ("B2", 2), ("B3", 3), ("BD", 13), ("BS", 14)];
    let bits: &[(&str, u32)] = match field.of_judge()? {
        Judged::Rflags | Judged::EntryRflags => &RFLAGS,
        Judged::Dr6 => &DR6,
        _ => return None,
    };
    bits.iter().find(|(known, _)| *known == name).map(|(_, bit)| 1 << bit)
}
