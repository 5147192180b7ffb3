//! What a stack counts: a counter for every reason that a frame, a segment or a connection can
//! come to nothing, and for every bound that was hit.

/// Counters since the stack was made. Plain numbers: read them between two turns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Turns.
    pub turns: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Frames queued for transmission.
    pub frames_out: u64,
    /// Bytes of the frames received.
    pub bytes_in: u64,
    /// Bytes of the frames queued.
    pub bytes_out: u64,
    /// Frames that are too short, or whose lengths contradict each other.
    pub rx_malformed: u64,
    /// Frames with a wrong IPv4, TCP or ICMP checksum.
    pub rx_bad_checksum: u64,
    /// Frames to another hardware address, VLAN or IPv4 address.
    pub rx_not_ours: u64,
    /// Frames of a protocol that is not spoken here, and fragments.
    pub rx_other: u64,
    /// Segments to a port where nobody listens, or of an unknown connection: answered with RST.
    pub rx_no_connection: u64,
    /// Frames to our address left to the host's own network, which has it too
    /// ([`super::Config::host_shares_address`]): ARP, ICMP, and segments of no connection to a port where
    /// nobody listens here.
    pub rx_for_host: u64,
    /// Segments that TCP dropped, by [`crate::tcp::Drop`] in its order.
    pub tcp_drops: [u64; crate::tcp::Drop::COUNT],
    /// Segments whose text was in order and shown to the application, in full or in part.
    pub texts_in: u64,
    /// Connections that reached ESTABLISHED, either side having opened.
    pub opened: u64,
    /// Connections ended by FIN both ways.
    pub closed: u64,
    /// Connections reset by the peer.
    pub reset_by_peer: u64,
    /// Connections reset by the application or for lost content.
    pub aborted: u64,
    /// Connections given up because the peer stopped answering.
    pub timed_out: u64,
    /// SYNs dropped because the connection table was full and nothing in TIME-WAIT could go.
    pub syn_table_full: u64,
    /// SYNs dropped because too many connections were half open.
    pub syn_half_open_full: u64,
    /// Connections in TIME-WAIT that made room for new ones before their time.
    pub time_wait_recycled: u64,
    /// Text refused because no receive buffer was free; the peer sends it again.
    pub receive_pool_empty: u64,
    /// Text refused because it left more ranges than a connection keeps
    /// ([`crate::tcp::RANGES_MAX`]); the peer sends it again.
    pub reassembly_full: u64,
    /// Answers not sent because the queue of answers was full (resets, ARP, echo).
    pub replies_full: u64,
    /// ARP requests answered.
    pub arp_replies: u64,
    /// ARP requests sent.
    pub arp_requests: u64,
    /// ICMP echo requests answered.
    pub echo_replies: u64,
    /// Neighbours forgotten for others.
    pub neighbours_replaced: u64,
    /// Segments sent from prepared copies.
    pub tx_prepared: u64,
    /// Segments that carried text and went the copying way, for any of the reasons below or
    /// because the text was the application's own.
    pub tx_copied: u64,
    /// The copying way because the peer's MSS has no class.
    pub copied_no_class: u64,
    /// The copying way because the segment does not start or end where prepared ones do.
    pub copied_unaligned: u64,
    /// The copying way because the store had no copy.
    pub copied_store_miss: u64,
    /// Times that sending stopped because the ring was full.
    pub tx_ring_full: u64,
    /// Times that sending stopped because no buffer was free.
    pub tx_no_buffer: u64,
    /// Times that sending waited for content that was not there yet.
    pub content_not_yet: u64,
    /// Times that a connection made way for others after its share of a turn.
    pub quantum_spent: u64,
    /// Wake-ups of a connection that was gone.
    pub wakes_lost: u64,
}
