//! Streams that are put together, and damaged.

use super::*;

/// Section `name` with these fields and a subsection with one.
fn put(stream: &mut Vec<u8>, id: u32, name: &str, fields: &[&[u8]], subsection: Option<&[u8]>) {
    stream.push(4);
    stream.extend(id.to_be_bytes());
    stream.push(name.len() as u8);
    stream.extend(name.as_bytes());
    stream.extend([0, 0, 0, 0, 0, 0, 0, 12]);
    fields.iter().for_each(|field| stream.extend(*field));
    if let Some(field) = subsection {
        stream.extend(b"\x05\x05cpu/x\0\0\0\x01");
        stream.extend(field);
    }
    stream.push(0x7E);
    stream.extend(id.to_be_bytes());
}

/// A stream whose cpu section has the fields of events as given, and the RIP 0x1234.
pub(in crate::qemu) fn stream(exception: i32, has_error_code: u8, interrupt_request: u32) -> Vec<u8> {
    let mut bytes = b"QEVM\0\0\0\x03".to_vec();
    // Guest memory that looks like the section, and is none.
    bytes.extend(b"\x04\0\0\0\x09\x03cpu\0\0\0\0\0\0\0\x0C no footer here");
    put(&mut bytes, 8, "cpu_common", &[&[0; 4], &interrupt_request.to_be_bytes()], None);
    let regs: Vec<u8> = (0..16_u64).flat_map(u64::to_be_bytes).collect();
    let fields: [&[u8]; 8] = [
        &regs,
        &0x1234_u64.to_be_bytes(),
        &(-1_i32).to_be_bytes(),
        &exception.to_be_bytes(),
        &[0],
        &[0],
        &[0],
        &[has_error_code],
    ];
    put(&mut bytes, 9, "cpu", &fields, Some(&7_u64.to_be_bytes()));
    bytes.push(0);
    let json = r#"{"page_size": 4096, "devices": [
        {"name": "cpu_common", "instance_id": 0, "vmsd_name": "cpu_common", "version": 12, "fields": [
            {"name": "halted", "type": "uint32", "size": 4},
            {"name": "interrupt_request", "type": "uint32", "size": 4}]},
        {"name": "cpu", "instance_id": 0, "vmsd_name": "cpu", "version": 12, "fields": [
            {"name": "env.regs", "array_len": 16, "type": "uint64", "size": 8},
            {"name": "env.eip", "type": "uint64", "size": 8},
            {"name": "env.interrupt_injected", "type": "int32", "size": 4},
            {"name": "env.exception_nr", "type": "int32", "size": 4},
            {"name": "env.soft_interrupt", "type": "uint8", "size": 1},
            {"name": "env.nmi_injected", "type": "uint8", "size": 1},
            {"name": "env.nmi_pending", "type": "uint8", "size": 1},
            {"name": "env.has_error_code", "type": "uint8", "size": 1}],
         "subsections": [{"vmsd_name": "cpu/x", "version": 1, "fields": [
            {"name": "env.x", "type": "uint64", "size": 8}]}]}]}"#;
    bytes.push(6);
    bytes.extend((json.len() as u32).to_be_bytes());
    bytes.extend(json.as_bytes());
    bytes
}

#[test]
fn fields_are_read_and_written_by_name() {
    let mut saved = Saved::read(stream(14, 1, 0)).unwrap();
    assert_eq!((saved.get("env.eip", 0), saved.get("env.regs", 4)), (Some(0x1234), Some(4)));
    assert_eq!((saved.get("env.exception_nr", 0), saved.get("env.x", 0)), (Some(14), Some(7)));
    assert_eq!((saved.get("env.regs", 16), saved.get("env.error_code", 0)), (None, None));
    saved.set("env.regs", 4, 0x5555).unwrap();
    saved.set("env.interrupt_injected", 0, 0x20).unwrap();
    let again = Saved::read(saved.bytes().to_vec()).unwrap();
    assert_eq!(
        (again.get("env.regs", 4), again.get("env.interrupt_injected", 0)),
        (Some(0x5555), Some(0x20))
    );
    assert_eq!((again.get("env.regs", 3), again.get("env.regs", 5)), (Some(3), Some(5)));
    assert_eq!(saved.set("env.error_code", 0, 1), Err(SavedError::NoField("env.error_code")));
}

#[test]
fn a_subsection_is_added() {
    let mut saved = Saved::read(stream(14, 1, 0)).unwrap();
    let before = saved.bytes().len();
    saved.add_subsection("cpu/y", &[("env.y", vec![5]), ("env.z", 6_u64.to_be_bytes().to_vec())]);
    assert_eq!(
        ["env.x", "env.y", "env.z", "env.eip"].map(|name| saved.get(name, 0)),
        [7, 5, 6, 0x1234].map(Some)
    );
    assert_eq!(saved.bytes().len(), before + 2 + 5 + 4 + 9);
}

#[test]
fn a_stream_that_is_not_as_it_says_is_a_sentence() {
    let good = stream(14, 1, 0);
    for length in [0, 4, 8, 200, good.len() - 1] {
        assert!(Saved::read(good[..length].to_vec()).is_err(), "{length}");
    }
    let name = good.windows(9).rposition(|bytes| bytes == b"\x03cpu\0\0\0\0\0").unwrap();
    let mut bad = good.clone();
    bad[name - 1] ^= 1;
    assert!(matches!(Saved::read(bad), Err(SavedError::NoSection("cpu"))), "another footer");
    let text = String::from_utf8_lossy(&good).into_owned();
    assert!(text.contains("\"devices\""));
}
