//! Congestion control: how many bytes may be in flight. An enum behind one trait, so that a
//! connection stays plain data; a new controller is one file.

mod new_reno;

pub use new_reno::NewReno;

/// Which controller new connections get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 5681 with the recovery of RFC 6582.
    #[default]
    NewReno,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::NewReno];

    /// Its name, as on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "new-reno",
        }
    }
}

/// What a controller is told, and asked. Sizes in bytes; `mss` is SMSS of RFC 5681.
pub trait CongestionControl {
    /// cwnd.
    fn window(&self) -> u32;
    /// ssthresh.
    fn ssthresh(&self) -> u32;
    /// New bytes were acknowledged outside of recovery. `limited`: the window was in full use.
    fn on_ack(&mut self, acked: u32, mss: u32, limited: bool);
    /// Fast retransmit begins with `flight` bytes outstanding. RFC 5681 §3.2 steps 2 and 3.
    fn on_enter_recovery(&mut self, flight: u32, mss: u32);
    /// A further duplicate ACK in recovery. RFC 5681 §3.2 step 4.
    fn on_duplicate_ack(&mut self, mss: u32);
    /// An ACK of a part of what was outstanding. RFC 6582 §3.2 step 3, partial.
    fn on_partial_ack(&mut self, acked: u32, mss: u32);
    /// An ACK of all of it. RFC 6582 §3.2 step 3, full.
    fn on_exit_recovery(&mut self, flight: u32, mss: u32);
    /// The retransmission timer expired; `first`: for the first time for these bytes. RFC 5681 §3.1.
    fn on_timeout(&mut self, flight: u32, mss: u32, first: bool);
    /// Nothing was sent for longer than the timeout. RFC 5681 §4.1.
    fn on_idle(&mut self, restart_window: u32);
}

/// The controller of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// [`Algorithm::NewReno`].
    NewReno(NewReno),
}

impl Controller {
    /// A controller with an initial window of so many bytes.
    pub fn new(algorithm: Algorithm, initial_window: u32) -> Self {
        match algorithm {
            Algorithm::NewReno => Self::NewReno(NewReno::new(initial_window)),
        }
    }
}

macro_rules! delegate {
    ($self:ident, $controller:ident => $call:expr) => {
        match $self {
            Controller::NewReno($controller) => $call,
        }
    };
}

impl CongestionControl for Controller {
    #[inline]
    fn window(&self) -> u32 {
        delegate!(self, c => c.window())
    }
    #[inline]
    fn ssthresh(&self) -> u32 {
        delegate!(self, c => c.ssthresh())
    }
    #[inline]
    fn on_ack(&mut self, acked: u32, mss: u32, limited: bool) {
        delegate!(self, c => c.on_ack(acked, mss, limited))
    }
    fn on_enter_recovery(&mut self, flight: u32, mss: u32) {
        delegate!(self, c => c.on_enter_recovery(flight, mss))
    }
    fn on_duplicate_ack(&mut self, mss: u32) {
        delegate!(self, c => c.on_duplicate_ack(mss))
    }
    fn on_partial_ack(&mut self, acked: u32, mss: u32) {
        delegate!(self, c => c.on_partial_ack(acked, mss))
    }
    fn on_exit_recovery(&mut self, flight: u32, mss: u32) {
        delegate!(self, c => c.on_exit_recovery(flight, mss))
    }
    fn on_timeout(&mut self, flight: u32, mss: u32, first: bool) {
        delegate!(self, c => c.on_timeout(flight, mss, first))
    }
    fn on_idle(&mut self, restart_window: u32) {
        delegate!(self, c => c.on_idle(restart_window))
    }
}
