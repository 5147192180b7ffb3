//! The port over the model of the kernel's side of the memory.

mod bad_input;
mod close;
mod conformance;
mod harness;
mod host;
mod mutants;
mod pipe;
mod receive;
mod stacks;
mod system_calls;
