//! The port over real netmap: a pipe, a VALE switch, and whatever port the environment names. The
//! model's tests run everywhere; these run where `/dev/netmap` is, which `vm.sh` sees to.
//!
//! - `SIMOOM_REQUIRE_NETMAP=1`: without netmap they fail instead of saying that they did nothing.
//! - `SIMOOM_NETMAP_PORT=netmap:eth0`: the suite over this port too. A pipe's or a switch's other end
//!   follows from its name; an interface's is named by `SIMOOM_NETMAP_FAR=netmap:eth1`, at the other
//!   end of the cable.
//!
//! Kernel memory is shared: run them with `--test-threads=1`.

mod buffers;
mod harness;
mod killed;
mod mutants;
mod suite;
mod wait;
