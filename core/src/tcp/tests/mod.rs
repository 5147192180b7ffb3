//! Scripts: packets in, packets out, with times. Our text begins at number 1001, the peer's at
//! 5001. See [`script::Script`].

mod close;
mod handshake;
mod script;
