//! Which midflight this is.

/// The version, and in brackets the commit of its source, if that is known: `0.2.0 (abc1234)`, with `, modified` after
/// the commit where the source was not what had been committed.
pub const VERSION: &str = env!("MIDFLIGHT_VERSION");

/// The day of its source: of SOURCE_DATE_EPOCH, or else of the commit; `unknown date` if neither was known.
pub const DATE: &str = env!("MIDFLIGHT_DATE");

/// What `--version` prints after the name: the version, and the date on a line of its own.
pub const LONG: &str = concat!(env!("MIDFLIGHT_VERSION"), "\nsource of ", env!("MIDFLIGHT_DATE"));
