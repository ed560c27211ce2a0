//! What a page shows of one result, and how that is made small.

use super::interned::Interned;
use serde::Serialize;

/// What is shown of one result.
#[derive(Debug, Default)]
pub(super) struct Detail {
    /// What is to be known first, in a sentence.
    pub(super) summary: Option<String>,
    /// A table for each delivery.
    pub(super) deliveries: Vec<Delivery>,
    /// Fields that differ and are in none of these tables.
    pub(super) differences: Vec<Row>,
    /// Anything else: a label and a text each.
    pub(super) texts: Vec<(&'static str, String)>,
    /// The command that repeats it, if it is not that of its section.
    pub(super) command: Option<String>,
}

/// A captured delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Its title.
    pub(super) title: String,
    /// Its fields.
    pub(super) rows: Vec<Row>,
}

/// A field.
#[derive(Debug)]
pub(super) struct Row {
    /// Its name.
    pub(super) field: String,
    /// What was expected, if that differs.
    pub(super) expected: Option<String>,
    /// What was got.
    pub(super) got: String,
}

/// Every detail, each text and each table of a delivery once.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) strings: Interned<String>,
    pub(super) frames: Interned<Frame>,
    pub(super) details: Interned<Small>,
}

/// A title, then three numbers for each row: field, expected (-1 if it does not differ), got.
pub(super) type Frame = Vec<i64>;

/// A [`Detail`] as numbers, in the order of its fields.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Small {
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    summary: Option<usize>,
    #[serde(rename = "f", skip_serializing_if = "Vec::is_empty")]
    deliveries: Vec<usize>,
    #[serde(rename = "d", skip_serializing_if = "Vec::is_empty")]
    differences: Vec<[i64; 3]>,
    #[serde(rename = "t", skip_serializing_if = "Vec::is_empty")]
    texts: Vec<[usize; 2]>,
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    command: Option<usize>,
}

impl Details {
    /// The index of a detail.
    pub(super) fn add(&mut self, detail: Detail) -> usize {
        let Detail { summary, deliveries, differences, texts, command } = detail;
        let small = Small {
            summary: summary.map(|text| self.strings.text(&text)),
            deliveries: deliveries.iter().map(|one| self.delivery(one)).collect(),
            differences: differences.iter().map(|row| self.row(row)).collect(),
            texts: texts
                .iter()
                .map(|(label, text)| [self.strings.text(label), self.strings.text(text)])
                .collect(),
            command: command.map(|text| self.strings.text(&text)),
        };
        self.details.index(small)
    }

    fn delivery(&mut self, delivery: &Delivery) -> usize {
        let mut frame = vec![self.text(&delivery.title)];
        for row in &delivery.rows {
            frame.extend(self.row(row));
        }
        self.frames.index(frame)
    }

    fn row(&mut self, row: &Row) -> [i64; 3] {
        let expected = row.expected.as_ref().map_or(-1, |text| self.text(text));
        [self.text(&row.field), expected, self.text(&row.got)]
    }

    fn text(&mut self, text: &str) -> i64 {
        self.strings.text(text) as i64
    }
}
