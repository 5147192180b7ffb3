//! Initial sequence numbers. RFC 6528 §3: ISN = M + F(localip, localport, remoteip, remoteport, key).

use crate::secrets::Secrets;
use crate::seq::SeqNumber;
use crate::time::Instant;
use core::hash::Hasher;
use core::net::Ipv4Addr;
use siphasher::sip::SipHasher24;

/// The initial sequence number of a connection, and the offset of its timestamp clock (RFC 7323
/// §7.1 wants it unguessable too). M is a clock of 4 µs.
pub fn initial_sequence(
    secrets: &Secrets,
    now: Instant,
    local: (Ipv4Addr, u16),
    remote: (Ipv4Addr, u16),
) -> (SeqNumber, u32) {
    let mut hasher = SipHasher24::new_with_keys(secrets.isn_key[0], secrets.isn_key[1]);
    hasher.write(&local.0.octets());
    hasher.write(&local.1.to_be_bytes());
    hasher.write(&remote.0.octets());
    hasher.write(&remote.1.to_be_bytes());
    let hash = hasher.finish();
    let clock = (now.as_nanos() >> 12) as u32;
    (SeqNumber(hash as u32) + clock, (hash >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 1), 80);
    const REMOTE: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 2), 4711);

    #[test]
    fn every_part_of_the_four_tuple_and_of_the_key_matters() {
        let secrets = Secrets::new([1, 2, 3, 4]);
        let base = initial_sequence(&secrets, Instant::ZERO, LOCAL, REMOTE);
        let others = [
            initial_sequence(&Secrets::new([9, 2, 3, 4]), Instant::ZERO, LOCAL, REMOTE),
            initial_sequence(&Secrets::new([1, 9, 3, 4]), Instant::ZERO, LOCAL, REMOTE),
            initial_sequence(&secrets, Instant::ZERO, (LOCAL.0, 81), REMOTE),
            initial_sequence(&secrets, Instant::ZERO, (Ipv4Addr::LOCALHOST, 80), REMOTE),
            initial_sequence(&secrets, Instant::ZERO, LOCAL, (REMOTE.0, 4712)),
            initial_sequence(&secrets, Instant::ZERO, LOCAL, (Ipv4Addr::LOCALHOST, 4711)),
        ];
        for other in others {
            assert_ne!(other.0, base.0);
            assert_ne!(other.1, base.1);
        }
    }

    #[test]
    fn the_number_moves_with_the_clock_and_the_offset_does_not() {
        let secrets = Secrets::new([1, 2, 3, 4]);
        let (first, offset) = initial_sequence(&secrets, Instant::ZERO, LOCAL, REMOTE);
        let later = Instant::from_nanos(10 << 12);
        assert_eq!(initial_sequence(&secrets, later, LOCAL, REMOTE), (first + 10, offset));
    }
}
