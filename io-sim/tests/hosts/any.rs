//! A world's hosts as one type: a server of ours, and everything that can stand around it.

use super::Server;
use simoom_core::tcp::Info;
use simoom_core::time::Instant;
use simoom_sim::endpoint::{EndpointHost, Host, HostCx, HostFault};
use simoom_sim::frames::FrameId;
use simoom_sim::hosts::*;
use simoom_sim::oracle::FlowName;
use simoom_sim::oracle::promises::{Passed, PromiseConfig};

macro_rules! any {
    ($($kind:ident($host:ty);)*) => {
        #[derive(Clone, Debug)]
        pub(crate) enum Any {
            $($kind(Box<$host>),)*
        }

        $(impl From<$host> for Any {
            fn from(host: $host) -> Self {
                Self::$kind(Box::new(host))
            }
        })*

        impl Host for Any {
            fn accepts(&mut self, port: usize, frame: &[u8]) -> bool {
                match self { $(Self::$kind(host) => host.accepts(port, frame),)* }
            }
            fn on_frame(&mut self, cx: &mut HostCx<'_>, port: usize, frame: FrameId) {
                match self { $(Self::$kind(host) => host.on_frame(cx, port, frame),)* }
            }
            fn on_wake(&mut self, cx: &mut HostCx<'_>) {
                match self { $(Self::$kind(host) => host.on_wake(cx),)* }
            }
            fn next_wake(&self) -> Option<Instant> {
                match self { $(Self::$kind(host) => host.next_wake(),)* }
            }
            fn poke(&mut self, now: Instant) {
                match self { $(Self::$kind(host) => host.poke(now),)* }
            }
            fn audit(&mut self) -> Result<(), HostFault> {
                match self { $(Self::$kind(host) => host.audit(),)* }
            }
            fn promises(&mut self) -> Vec<PromiseConfig> {
                match self { $(Self::$kind(host) => host.promises(),)* }
            }
            fn take_passed(&mut self, into: &mut Vec<Passed>) {
                match self { $(Self::$kind(host) => host.take_passed(into),)* }
            }
            fn connections(&self) -> Vec<(FlowName, Info)> {
                match self { $(Self::$kind(host) => host.connections(),)* }
            }
            fn describe(&self) -> String {
                match self { $(Self::$kind(host) => host.describe(),)* }
            }
        }
    };
}

any! {
    Server(Server);
    Switch(Switch);
    Receiver(EndpointHost<Receiver>);
    Source(EndpointHost<CrossSource>);
    Sink(EndpointHost<CrossSink>);
    SynFlood(EndpointHost<hostile::SynFlood>);
    Random(EndpointHost<hostile::RandomSegments>);
    Blind(EndpointHost<hostile::BlindInjector>);
    OptAck(EndpointHost<hostile::OptimisticAcker>);
}

/// The host of a kind, or the test is wrong.
macro_rules! as_kind {
    ($world:expr, $id:expr, $kind:ident) => {
        match $world.host($id) {
            $crate::any::Any::$kind(host) => host,
            other => panic!("no such host: {other:?}"),
        }
    };
}
pub(crate) use as_kind;
