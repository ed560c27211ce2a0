//! What a guest is made of: compiled by the test beside it, never run as it is.
#![no_std]
#![crate_type = "lib"]

use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicU8, Ordering::SeqCst};

#[unsafe(no_mangle)]
pub fn widths(a: u64, b: i32, c: u16, d: i8) -> u64 {
    let wide = u128::from(a) * 0x1234_5678_9ABC_DEF0 / (u128::from(c) + 1);
    let signed = i64::from(b) * i64::from(d) % (i64::from(c) + 3) + (i128::from(a) >> 7) as i64;
    (wide as u64).rotate_left(c.into()) ^ (signed as u64).swap_bytes() ^ u64::from(c.swap_bytes())
}

#[unsafe(no_mangle)]
pub fn bits(a: u64, b: u32) -> u32 {
    a.count_ones() + a.leading_zeros() + b.trailing_zeros() + (b.reverse_bits() >> (a & 31))
        + a.checked_add(u64::from(b)).map_or(1, |s| s as u32)
        + u32::from(b.overflowing_mul(77).1) + a.saturating_sub(b.into()) as u32
        + (a as i64).checked_neg().map_or(2, |n| (n >> 3) as u32) + (b as i32).wrapping_shr(9) as u32
}

#[unsafe(no_mangle)]
pub fn memory(to: &mut [u8], from: &[u8], words: &mut [[u32; 4]; 32]) -> bool {
    to[..from.len()].copy_from_slice(from);
    to.fill(7);
    words.swap(1, 30);
    *words = [[u32::from(to[0]); 4]; 32];
    words.sort_unstable();
    to.iter().rev().zip(from).all(|(a, b)| a == b) && to == from
}

#[unsafe(no_mangle)]
pub fn text(s: &str, n: i64, out: &mut dyn core::fmt::Write) -> core::fmt::Result {
    for (at, word) in s.split_whitespace().enumerate() {
        write!(out, "{at:>5}: {word:?} {n:#018x} {}", word.parse::<i32>().unwrap_or(-1))?;
    }
    Ok(())
}

pub enum Shape {
    Point,
    Line(u32),
    Area { w: u16, h: i64 },
    Text(&'static str),
}

#[unsafe(no_mangle)]
pub fn choose(shape: &Shape, n: u8) -> i64 {
    match (shape, n) {
        (Shape::Point, 0..=9) => 1,
        (Shape::Line(l), b'a'..=b'z') => i64::from(*l).pow(3),
        (Shape::Area { w, h }, _) => if *h > 4 { i64::from(*w) / *h } else { h.abs() },
        (Shape::Text(t), 200) => t.chars().filter(|c| c.is_alphanumeric()).count() as i64,
        (_, n) => [3, 1, 4, 1, 5, 9, 2, 6][usize::from(n) % 8].max(2),
    }
}

#[unsafe(no_mangle)]
pub fn atomics(a: &AtomicU64, b: &AtomicU8, c: &AtomicU16, d: &AtomicBool) -> u64 {
    let mut sum = a.fetch_add(3, SeqCst) + u64::from(b.fetch_xor(5, SeqCst)) + u64::from(c.swap(9, SeqCst));
    sum += a.fetch_or(1 << 9, SeqCst) + u64::from(c.fetch_max(7, SeqCst)) + u64::from(d.fetch_nand(true, SeqCst));
    sum += a.compare_exchange(1, 2, SeqCst, SeqCst).unwrap_or_else(|old| old);
    core::sync::atomic::fence(SeqCst);
    b.store(1, SeqCst);
    sum + u64::from(a.fetch_and(!4, SeqCst) & 4 != 0)
}

#[unsafe(no_mangle)]
pub fn hash(table: &mut [u64; 256], rounds: u32) -> u64 {
    let mut x = 0x9E37_79B9_7F4A_7C15u64;
    for n in 0..rounds {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        let slot = &mut table[(x >> 56) as usize];
        *slot = slot.wrapping_add(if x & 8 != 0 { x } else { u64::from(n) });
    }
    table.iter().fold(0, |a, b| a.rotate_right(5) ^ b)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
