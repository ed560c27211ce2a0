//! One page of HTML, which needs nothing else: of a run's results, and of the mutants matrix.
//!
//! | module | holds |
//! |---|---|
//! | `page` | what a page shows, made small: 50,000 results are a few megabytes |
//! | `detail` | what is shown of one result |
//! | `fact` | a fact about the host, in words |
//! | `read` | results read from JSON lines |
//! | `run` | the page of results |
//! | `mutants` | the page of the mutants matrix |
//!
//! `page.html`, `page.css` and one script are what every page consists of: `cells.js` reads the data, `matrix.js` and
//! `dialog.js` show it, `page.js` filters and starts. They put text into the page as text and nothing else, and the data as
//! JSON in which no `<` stands.

mod detail;
mod fact;
mod interned;
pub(crate) mod mutants;
mod page;
pub(crate) mod read;
pub(crate) mod run;
