//! What midflight does as a program, and its library as a whole on the model and on this host's KVM.
//!
//! Without embedded images, or without KVM, what needs them says so and tests nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers belong to tests, which may panic")]

mod again;
mod answers;
mod asked;
mod binary;
mod bochs;
mod chromium;
mod cli;
mod compare;
mod damage;
mod damaged_file;
mod debugger;
mod delivery_pages;
mod dirty_guest;
mod dist;
mod embedded;
mod ended;
mod fake_qemu;
mod filters;
mod formats;
mod fred_series;
mod guest_msrs;
mod hostile;
mod images_alone;
mod iso;
mod junit;
mod kernel_log;
mod killed;
mod known_issues;
mod kvm_machine;
mod marked;
mod migrate_process;
mod mounted;
mod names;
mod new_test;
mod other_uapi;
mod package;
mod patched;
mod qemu;
mod readme;
mod report_files;
mod report_page;
mod reports;
mod repro;
mod restore;
mod sample;
mod save_kill;
mod save_resume;
mod selected;
mod storm;
mod this_host;
mod trace;
mod version;
