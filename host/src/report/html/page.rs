//! A page, and how it is written.

use super::detail::{Detail, Details};
use super::interned::Interned;
use serde::Serialize;
use std::io::{Error, Result, Write};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(
    include_str!("cells.js"),
    "\n",
    include_str!("matrix.js"),
    "\n",
    include_str!("dialog.js"),
    "\n",
    include_str!("page.js")
);

/// A page of results: for each machine a matrix, whose cells open what is known of one result.
#[derive(Debug)]
pub(crate) struct Page {
    words: Words,
    sections: Vec<Section>,
    rows: Interned<(usize, usize)>,
    columns: Interned<(String, String)>,
    details: Details,
    cells: Vec<[i64; 7]>,
}

/// What a page says of itself.
#[derive(Debug, Serialize)]
pub(super) struct Words {
    pub(super) title: String,
    /// What is to be said at its head.
    pub(super) sentences: Vec<String>,
    /// What a result may be, the least severe first.
    pub(super) outcomes: Vec<Kind>,
    /// What stands over the names of rows.
    pub(super) heads: &'static str,
    /// What the number in a cell says, and an empty one.
    pub(super) cells_say: &'static str,
    /// What the list of what needs attention is called.
    pub(super) attention: &'static str,
    /// The same where it is empty.
    pub(super) none: &'static str,
    /// The name of the rows that belong to no image.
    pub(super) everything: &'static str,
    /// What joins row and column to a name.
    pub(super) joint: &'static str,
}

/// A kind of result.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Its colour.
    pub(super) tone: &'static str,
    /// Whether it is listed.
    pub(super) attention: bool,
}

/// Results that have a matrix of their own.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    pub(super) name: String,
    /// What its command has after the id, with a blank before it.
    pub(super) options: String,
    pub(super) facts: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
}

/// One result.
#[derive(Debug)]
pub(super) struct Cell<'a> {
    /// The index of its section.
    pub(super) section: usize,
    /// The image, and the row's name.
    pub(super) row: (&'a str, &'a str),
    /// The stop and the action, or what a column is made of instead.
    pub(super) column: (&'a str, &'a str),
    /// The index of its kind.
    pub(super) outcome: usize,
    /// How many results it stands for.
    pub(super) number: usize,
    /// How long it took, in microseconds, if that is known.
    pub(super) microseconds: Option<u64>,
    pub(super) detail: Detail,
}

/// What `cells.js` reads.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    words: &'a Words,
    sections: &'a [Section],
    strings: Vec<&'a String>,
    /// Image and name, as indices into the strings.
    rows: Vec<&'a (usize, usize)>,
    columns: Vec<[usize; 2]>,
    /// The columns from left to right.
    order: Vec<usize>,
    frames: &'a Interned<super::detail::Frame>,
    details: &'a Interned<super::detail::Small>,
    /// Section, row, column, outcome, detail, microseconds or -1, number; cell after cell.
    cells: Vec<i64>,
}

impl Page {
    pub(super) fn new(words: Words) -> Self {
        Self {
            words,
            sections: Vec::new(),
            rows: Interned::default(),
            columns: Interned::default(),
            details: Details::default(),
            cells: Vec::new(),
        }
    }

    /// Adds a section; its index.
    pub(super) fn section(&mut self, section: Section) -> usize {
        self.sections.push(section);
        self.sections.len() - 1
    }

    /// Adds what is to be said at its head.
    pub(super) fn say(&mut self, sentence: String) {
        self.words.sentences.push(sentence);
    }

    /// Adds a result.
    pub(super) fn add(&mut self, cell: Cell<'_>) {
        let (image, name) = cell.row;
        let strings = &mut self.details.strings;
        let row = self.rows.index((strings.text(image), strings.text(name)));
        let (over, column) = cell.column;
        let column = self.columns.index((over.to_owned(), column.to_owned()));
        let microseconds = cell.microseconds.and_then(|time| i64::try_from(time).ok()).unwrap_or(-1);
        let detail = self.details.add(cell.detail);
        let indices = [cell.section, row, column, cell.outcome, detail].map(|index| index as i64);
        let [section, row, column, outcome, detail] = indices;
        self.cells.push([section, row, column, outcome, detail, microseconds, cell.number as i64]);
    }

    /// Writes the page, with the columns in the order of `rank`. Fails when `output` cannot be written.
    pub(crate) fn write<R: Ord>(
        mut self,
        output: &mut dyn Write,
        rank: impl Fn(&(String, String)) -> R,
    ) -> Result<()> {
        let columns: Vec<(String, String)> = self.columns.list().into_iter().cloned().collect();
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by_key(|index| rank(&columns[*index]));
        let strings = &mut self.details.strings;
        let columns = columns.iter().map(|(over, name)| [strings.text(over), strings.text(name)]).collect();
        let data = Data {
            words: &self.words,
            sections: &self.sections,
            strings: self.details.strings.list(),
            rows: self.rows.list(),
            columns,
            order,
            frames: &self.details.frames,
            details: &self.details.details,
            cells: self.cells.concat(),
        };
        let data = in_script(&serde_json::to_string(&data).map_err(Error::other)?);
        let mut rest = PAGE;
        for (mark, what) in [("{{style}}", STYLE), ("{{data}}", data.as_str()), ("{{script}}", SCRIPT)] {
            let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
            output.write_all(before.as_bytes())?;
            output.write_all(what.as_bytes())?;
            rest = after;
        }
        output.write_all(rest.as_bytes())?;
        output.flush()
    }
}

/// JSON that may stand in a script element: `<` is in strings only, where it may be escaped.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}
