//! The host behind the port: which address is whose.

use super::{PortName, netmap_failure};
use crate::failure::Failure;
use simoom_netmap::device::host_addresses;
use std::net::Ipv4Addr;

/// Whether the host's own network has the stack's address on the same interface and gets what the stack
/// does not claim; says which of the two ways it is, where the port has the host's rings.
pub(super) fn shares_address(port: &PortName, own: Ipv4Addr) -> Result<bool, Failure> {
    let PortName::Netmap(name) = port else { return Ok(false) };
    if !name.host {
        return Ok(false);
    }
    let shared = host_addresses(name).map_err(|e| netmap_failure(&e))?.contains(&own);
    let whose = if shared {
        format!("{own} is the host's address too, which gets all but what is served")
    } else {
        format!("the host gets all that is not for {own}")
    };
    eprintln!("simoom: {name}: {whose}");
    Ok(shared)
}
