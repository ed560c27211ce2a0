use super::*;

#[test]
fn an_id_is_its_parts() {
    for (id, wanted) in [
        ("pf/a:fred:cold", ("pf/a:fred", "cold", "")),
        ("pf/a:idt:nopayload:cold", ("pf/a:idt", "nopayload:cold", "")),
        ("pf/a:fred:block@pt:migrate+again=3", ("pf/a:fred", "block@pt", "migrate+again=3")),
        ("pf/a:fred:nopayload:io:resume", ("pf/a:fred", "nopayload:io", "resume")),
        ("anything", ("anything", "", "")),
        ("a:b:", ("a:b", "", "")),
        ("é:ü:ö:ä:", ("é:ü", "ö", "ä:")),
    ] {
        assert_eq!(parts(id), wanted, "{id}");
    }
}

#[test]
fn columns_stand_as_stops_are_listed() {
    let stops = ["cold", "none", "block@frame", "block@pt"].map(str::to_owned);
    let mut columns = [
        ("nopayload:block@frame", "resume"),
        ("new-stop", "resume"),
        ("block@pt", "resume"),
        ("block@frame", "migrate+disturb"),
        ("block@frame", "resume"),
        ("cold", ""),
    ];
    columns.sort_by_key(|(stop, action)| rank(&stops, stop, action));
    let sorted = columns.map(|(stop, action)| format!("{stop}:{action}"));
    let wanted = [
        "cold:",
        "block@frame:resume",
        "block@frame:migrate+disturb",
        "block@pt:resume",
        "new-stop:resume",
        "nopayload:block@frame:resume",
    ];
    assert_eq!(sorted, wanted);
}

#[test]
fn nothing_of_a_result_is_markup() {
    let evil = "</script><img src=x onerror=alert(1)>\u{2028}";
    let line = serde_json::json!({
        "id": format!("{evil}/b:fred:cold"), "outcome": "fail", "machine": evil, "behaviour": evil,
        "reason": evil, "queue": evil, "losses": [evil], "again": evil,
        "differences": [{"field": evil, "expected": evil, "got": evil}],
    });
    let text = format!("{line}\n{}\n", serde_json::json!({"host": {"cpu": evil}}));
    let results = Results::read(text.as_bytes()).unwrap();
    assert_eq!(results.unread, None);
    let mut page = Vec::new();
    write(&mut page, vec![(evil.to_owned(), results)]).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(!page.contains("<img") && !page.contains('\u{2028}'), "markup came through");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("{{"));
}
