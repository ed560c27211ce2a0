//! What a list may not say.

use super::*;

#[test]
fn a_broken_list_is_refused_with_its_own_name_and_the_line() {
    // Line 1 of the text is empty.
    let whole = format!("{LIST}\n");
    for (line, from, to, sentence) in [
        (3, "\"rf\"", "1", "invalid type: integer `1`, expected a string"),
        (3, "\"rf\"", "\" \"", "`name` is empty"),
        (4, "\"kvm\"", "\"model\"", "the model has no known issues"),
        (4, "\"kvm\"", "\"kwm\"", "there is no machine `kwm`; there are kvm and qemu and bochs"),
        (5, "pf/x:idt", "nmi/behind-pf:idt", "`nmi/behind-pf` is now called `nmi/after-pf`"),
        (5, "io:migrate", "io:fly", "is not a scenario's id: its action is not made of"),
        (3, SCENARIOS, "", "it names neither `scenarios` nor `cases`"),
        (
            3,
            "field =",
            "stops = [\"cold\"]\nfield =",
            "`stops`, `actions` and `payload` limit `cases`, and there are none",
        ),
        (6, "RFLAGS", "RFLAGGS", "`RFLAGGS`: no judge, restore or comparison has such a field"),
        (6, "\"RFLAGS\",", "\"RFLAGS\", at = \"Ready\", restored = true,", "`RFLAGS`: no judge, restore or"),
        (6, "\"RFLAGS\",", "\"event date\", at = \"Done\",", "`event date`: no judge, restore or comparison"),
        (6, ", expected = 0x10002, got = 0x2", "", "`RFLAGS` excuses anything: `expected` and `got` are"),
        (6, "expected = 0x10002, ", "", "`RFLAGS` excuses anything"),
        (6, "0x10002", "\"10002\"", "`10002` of `RFLAGS` is no value"),
        (6, "0x10002", "\"0xA\"", "`0xA` of `RFLAGS` is no value"),
        (6, "expected = 0x10002", "bits = \"RG\", expected = 1", "`RFLAGS` has no bit `RG`"),
        (6, "expected = 0x10002", "bits = \"RF\", expected = 1", "a bit is expected as 0 or 1, and got as"),
        (3, FIELD, "", "it describes no failure"),
        (7, "}]\n", "}]\nfinding = { kind = \"fred-not-set\" }\n", "or a finding, or a delivery that comes"),
        (6, FIELD, "failure = \"RFLAGS\"", "`failure` is not read any more: write `field = [{ name = "),
        (7, "{ kernel = [\"6.17.\", \"6.18.\"] }", "{}", "`host` names no fact"),
        (7, "kernel =", "colonel =", "there is no host fact `colonel`; there are vendor, kernel,"),
        (7, "\"6.18.\"", "\"\"", "the host fact `kernel` has no value, or an empty one"),
        (7, "[\"6.17.\", \"6.18.\"]", "[]", "the host fact `kernel` has no value, or an empty one"),
        (8, "RF is lost", "", "`reason` is empty"),
        (9, "\"here\"", "\"\"", "`reference` is empty"),
        (8, "reason", "raison", "unknown field `raison`"),
        (2, "reason = \"RF is lost\"", "", "missing field `reason`"),
    ] {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole, "{from}");
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("list.toml:{line}: ")) && error.contains(sentence), "{error}");
    }
}

#[test]
fn cases_stops_and_actions_are_of_the_grammar() {
    let with = |cases: &str, limits: &str| {
        let cases = format!("cases = [\n\"pf/y:idt\",\n{cases}]\n{limits}");
        LIST.replace(SCENARIOS, &cases)
    };
    for stop in ["block@*", "block@frame", "storm=7", "access@3,2", "cold", "none", "*@pt", "compare"] {
        parse(&with("", &format!("stops = [\"{stop}\"]"))).unwrap();
    }
    for (line, cases, limits, sentence) in [
        (7, "\"pf/x:gdt\"", "", "`pf/x:gdt` is not IMAGE/CASE:DELIVERY: its delivery is neither"),
        (7, "\"nmi/behind-pf:idt\"", "", "the case `nmi/behind-pf` is now called `nmi/after-pf`"),
        (7, "\"pf/x:idt:nopayload\"", "", "something follows the delivery"),
        (7, "\"pf/x:idt:cold\"", "", "is not IMAGE/CASE:DELIVERY"),
        (7, "\"pf/*:idt\"", "", "`*` in `cases` needs `stops = [\"compare\"]`"),
        (8, "\"pf/x:idt\"\n", "stops = [\"block@fame\"]", "there is no stop `block@fame`"),
        (8, "\"pf/x:idt\"\n", "stops = [\"blok@*\"]", "there is no stop `blok@*`"),
        (8, "\"pf/x:idt\"\n", "actions = [\"fly\"]", "there is no action `fly`: its action is not made of"),
    ] {
        let error = parse(&with(cases, limits)).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
        let line = line + usize::from(cases.ends_with('\n'));
        assert!(error.starts_with(&format!("list.toml:{line}: `rf`: ")), "{error}");
    }
}
