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
//! `page.html`, `page.css` and `page.js` are what every page consists of. They put text into the page as text and nothing
//! else, and the data as JSON in which no `<` stands.

mod detail;
mod fact;
mod interned;
pub(crate) mod mutants;
mod page;
pub(crate) mod read;
pub(crate) mod run;
