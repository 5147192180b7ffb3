//! Scripts: packets in, packets out, with times. Our text begins at number 1001, the peer's at
//! 5001. See [`script::Script`].

mod acknowledge;
mod cells;
mod challenge;
mod close;
mod handshake;
mod hostile;
mod link;
mod options;
mod packet;
mod receive_window;
mod recovery;
mod retransmit;
mod script;
mod send_window;

#[test]
fn a_connection_fits_its_bound() {
    assert_eq!(size_of::<super::Tcb>(), 176);
}
