//! HTTP/1.1 requests and responses as bytes. RFC 9110 (semantics), RFC 9112 (the format).
//!
//! Bytes only: knows no port, no TCP, no content and no file. Reads in the order of a request's
//! life: [`head`] (find the end of a head, once), [`request`] (parse it, once), [`path`] (which
//! name is meant), [`conditional`] (is the client's copy good enough), [`body`] (consume what
//! comes with it), [`response`] (what goes back), with [`date`] below all of them.

pub mod body;
pub(crate) mod bytes;
pub mod conditional;
pub mod date;
pub mod head;
pub mod path;
pub mod request;
pub mod response;
