//! The interpreter: one file for each family of instructions.
//!
//! | module | holds |
//! |---|---|
//! | [`decoded`], [`decode`], [`cache`], [`fetch`] | from bytes to a decoded instruction |
//! | [`dispatch`], [`plain`] | which handler executes which instruction, which ones are simple |
//! | [`run`] | one entry: instruction boundaries, one instruction, runs of plain ones |
//! | [`core`], [`scratch`], [`features`] | what handlers work on |
//! | [`operand`], [`flags`] | what they share |
//! | [`moves`], [`stack`], [`arithmetic`], [`shift`], [`bit`], [`bmi`], [`control_flow`], [`string`] | the integer instructions |
//! | [`far`], [`call_gate`], [`iret`], [`load_segment`] | segments |
//! | [`system`], [`descriptor_table`], [`control_register`], [`fred_return`], [`io`] | the system |
//! | [`fpu`], [`floating_point`], [`amx`], [`xsave`] | extended state |

pub(crate) mod amx;
pub(crate) mod arithmetic;
pub(crate) mod bit;
pub(crate) mod bmi;
pub(crate) mod cache;
pub(crate) mod call_gate;
pub(crate) mod control_flow;
pub(crate) mod control_register;
pub(crate) mod core;
pub(crate) mod decode;
pub(crate) mod decoded;
pub(crate) mod descriptor_table;
pub(crate) mod dispatch;
pub(crate) mod far;
pub(crate) mod features;
pub(crate) mod fetch;
pub(crate) mod flags;
pub(crate) mod floating_point;
pub(crate) mod fpu;
pub(crate) mod fred_return;
pub(crate) mod io;
pub(crate) mod iret;
pub(crate) mod load_segment;
pub(crate) mod moves;
pub(crate) mod operand;
pub(crate) mod plain;
pub(crate) mod run;
pub(crate) mod scratch;
pub(crate) mod shift;
pub(crate) mod stack;
pub(crate) mod string;
pub(crate) mod system;
pub(crate) mod xsave;
