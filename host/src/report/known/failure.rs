//! What the text of a failure may be: it names fields that exist, and describes something in particular.

use super::error::Problem;
use super::fields;
use crate::report::difference::Field;

/// Checks a failure as [`failure_text`](super::failure_text) writes it.
pub(super) fn check(failure: &str) -> Result<(), Problem> {
    if is_of_fields(failure) {
        return failure.split("; ").try_for_each(check_field);
    }
    check_text(failure)
}

/// Checks a text that is no list of fields: a reason, or a line of the kernel's.
pub(super) fn check_text(text: &str) -> Result<(), Problem> {
    /// Words that begin every warning of a kernel.
    const ANY_WARNING: &str = "WARNING: CPU: 0 PID: 1 at nowhere.c:1 nothing+0x0/0x0";
    let words =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).count();
    let wild = match text.split_once('*') {
        Some((before, _)) => words(before) < 2 || crate::scenario::pattern::matches(text, ANY_WARNING),
        None => words(text) == 0,
    };
    if wild { Err(Problem::Anything(text.to_owned())) } else { Ok(()) }
}

/// Whether it is meant as a list of fields.
fn is_of_fields(failure: &str) -> bool {
    failure.contains(" expected ") && failure.contains(", got ")
}

fn check_field(part: &str) -> Result<(), Problem> {
    let form = || Problem::Form(part.to_owned());
    let (field, values) = part.split_once(" expected ").ok_or_else(form)?;
    let (expected, got) = values.split_once(", got ").ok_or_else(form)?;
    let field = fields::named(field).ok_or(Problem::Field(field.to_owned()))?;
    if expected == ANY && got == ANY && !field.is_address() {
        return Err(Problem::AnyValue(part.to_owned()));
    }
    for value in [expected, got] {
        if !(value == ANY || is_value(value, field)) {
            return Err(Problem::Value { value: value.to_owned(), part: part.to_owned() });
        }
    }
    Ok(())
}

const ANY: &str = "*";

/// A judge's values are numbers; a restore also says `absent`, and the like.
fn is_value(value: &str, field: Field) -> bool {
    match value.strip_prefix("0x") {
        Some(digits) => {
            !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
        }
        None => field.of_judge().is_none() && !value.is_empty() && !value.contains('*'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_a_failure_is_taken() {
        for failure in [
            "RFLAGS expected 0x10002, got 0x2",
            "RIP expected *, got *; RFLAGS expected 0x102, got 0x2; RSP at entry expected *, got *",
            "KVM_EXIT_INTERNAL_ERROR, suberror 1, data *, RIP at *",
            "the delivery was not cut: the case ended without meeting the stop",
            "RSI at Ready expected 0x10800, got *",
            "delivery 0: RFLAGS at Done expected 0x10002, got 0x2",
            "CPUID leaf 0x7.0 expected present, got absent",
            "exception payload expected 0x4000, got nothing",
        ] {
            assert_eq!(check(failure), Ok(()), "{failure}");
        }
        assert_eq!(check_text("WARNING: CPU: * at *virt/kvm/dirty_ring.c:* kvm_dirty_ring_push+*"), Ok(()));
    }

    #[test]
    fn what_describes_nothing_is_refused() {
        for failure in ["", " ", "*", "**", " * ", "*;*", "; ", "*a*", "the *", "* expected"] {
            assert_eq!(check(failure), Err(Problem::Anything(failure.to_owned())), "{failure}");
        }
        for text in ["*", "WARNING: *", "WARNING: CPU: *", "WARNING: CPU: * PID: * at *"] {
            assert_eq!(check_text(text), Err(Problem::Anything(text.to_owned())), "{text}");
        }
        for failure in ["RFLAGS expected *, got *", "RIP expected *, got *; CR2 expected *, got *"] {
            assert!(matches!(check(failure), Err(Problem::AnyValue(_))), "{failure}");
        }
    }

    #[test]
    fn a_field_that_does_not_exist_is_refused() {
        for (failure, field) in [
            ("RFLAGGS expected 0x1, got 0x0", "RFLAGGS"),
            ("* expected 0x1, got 0x0", "*"),
            (" expected 0x1, got 0x0", ""),
            ("RIP expected *, got *; event date expected 0x1, got 0x0", "event date"),
            ("RSI at Noon expected 0x1, got 0x0", "RSI at Noon"),
            ("delivery 0: RSI at Done expected 0x1, got 0x0", "delivery 0: RSI at Done"),
        ] {
            assert_eq!(check(failure), Err(Problem::Field(field.to_owned())), "{failure}");
        }
    }

    #[test]
    fn a_value_that_no_report_holds_is_refused() {
        for failure in ["CR2 expected 10, got 0x0", "CR2 expected 0xA, got 0x0", "CR2 expected 0x1*, got 0x0"]
        {
            assert!(matches!(check(failure), Err(Problem::Value { .. })), "{failure}");
        }
        let failure = "CR2 expected 0x1, got 0x0;DR6 expected 0x1, got 0x0";
        assert!(matches!(check(failure), Err(Problem::Value { .. })), "{failure}");
        let failure = "CR2 expected 0x1, got 0x0; DR6 0x1";
        assert!(matches!(check(failure), Err(Problem::Form(_))), "{failure}");
    }
}
