//! Runs images one after another: the entry `all` of the boot menu that `make iso` makes.
//!
//! A boot loader loads it by Multiboot2, with an image as each module and the image's command line as the module's
//! string. For each it clears the memory that images have, loads the image's segments, and enters it as a Multiboot2
//! boot loader does: flat 32-bit protected mode, EAX with the magic, EBX at the information. The command line says
//! `next=ADDRESS`; an image that ends jumps there, in 64-bit mode with the first 2 MiB mapped one to one and its
//! [`ImageExit`] in EDI, and the next image's turn comes. After the last one it ends the machine as a single image
//! does, with the worst exit of all.
//!
//! The images are those of this tree: their segments are inside the 512 KiB of linker/guest.ld, and are not checked
//! again.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]

#[cfg(target_os = "none")]
mod all;

/// Nothing here panics; a program has one all the same.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// It is a program for bare metal, and does nothing anywhere else.
#[cfg(not(target_os = "none"))]
fn main() {}
