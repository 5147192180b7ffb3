//! Hosts of any kind in one world, and what runs on them.

use crate::endpoint::{Endpoint, EndpointHost, Host};
use crate::hosts::Switch;
use crate::observe::Probe;
use crate::stack_host::StackHost;
use simoom_core::stack::Stats;
use simoom_core::stack::app::App;
use std::any::Any;
use std::fmt;
use std::net::Ipv4Addr;

/// A host of a [`Lab`](super::Lab).
pub trait AnyHost: Host {
    /// The application or the endpoint.
    fn inside(&self) -> &dyn Any;

    /// The same, to change.
    fn inside_mut(&mut self) -> &mut dyn Any;

    /// The probe of the stack; None where the host has none of ours.
    fn probe(&self) -> Option<&Probe> {
        None
    }

    /// What the stack has counted; None where the host has none of ours.
    fn stack_stats(&self) -> Option<&Stats> {
        None
    }
}

impl fmt::Debug for dyn AnyHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl<A: App + 'static> AnyHost for StackHost<A, Probe> {
    fn inside(&self) -> &dyn Any {
        self.stack.app()
    }

    fn inside_mut(&mut self) -> &mut dyn Any {
        self.stack.app_mut()
    }

    fn probe(&self) -> Option<&Probe> {
        Some(self.stack.trace())
    }

    fn stack_stats(&self) -> Option<&Stats> {
        Some(self.stack.stats())
    }
}

impl<E: Endpoint + 'static> AnyHost for EndpointHost<E> {
    fn inside(&self) -> &dyn Any {
        &self.endpoint
    }

    fn inside_mut(&mut self) -> &mut dyn Any {
        &mut self.endpoint
    }
}

impl AnyHost for Switch {
    fn inside(&self) -> &dyn Any {
        self
    }

    fn inside_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The address that a lab has for a host of its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The hardware address.
    pub mac: [u8; 6],
    /// The IPv4 address: 10.66.x.y.
    pub ip: Ipv4Addr,
    /// Bits of the subnet: 16.
    pub prefix_len: u8,
    /// The host's number, from 1: what x.y and the hardware address say.
    pub number: u16,
}

impl Address {
    pub(super) fn new(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        let (mac, ip) = ([2, 0x66, 0, 0, high, low], super::ip_of(number));
        Self { mac, ip, prefix_len: 16, number }
    }
}
