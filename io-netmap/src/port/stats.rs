//! What a port counts.

/// What a netmap port counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetmapStats {
    /// Frames shown to the caller.
    pub rx_frames: u64,
    /// Bytes of them.
    pub rx_bytes: u64,
    /// Frames shorter than an Ethernet header, dropped.
    pub rx_runt: u64,
    /// Frames longer than the MTU and a tag allow, dropped.
    pub rx_oversize: u64,
    /// Of `rx_frames`, those that came in several slots (`NS_MOREFRAG`) and were copied together.
    pub rx_joined: u64,
    /// Frames of several slots that were longer than the MTU and a tag allow, or took more slots than
    /// netmap lets a frame take, dropped.
    pub rx_fragmented: u64,
    /// Slots that named no buffer, or more bytes than one has; dropped.
    pub rx_bad_slot: u64,
    /// Frames queued for sending.
    pub tx_frames: u64,
    /// Of these, frames of several slots.
    pub tx_gathered: u64,
    /// Frames that were reclaimed.
    pub tx_done: u64,
    /// Frames refused to the caller because all slots were taken.
    pub tx_ring_full: u64,
    /// Completions whose buffer a pipe's peer had exchanged for one of its own.
    pub tx_exchanged: u64,
    /// The most completions found at once: how lazily the device reports.
    pub tx_done_most: u32,
    /// Frames that the caller did not claim, handed to the host.
    pub to_host: u64,
    /// Bytes of them.
    pub to_host_bytes: u64,
    /// Frames for the host that found its ring full, dropped.
    pub host_ring_full: u64,
    /// Frames for the host that came in several slots, which netmap does not take to it; dropped.
    pub to_host_fragmented: u64,
    /// Frames of the host, queued for sending.
    pub from_host: u64,
    /// Bytes of them.
    pub from_host_bytes: u64,
    /// Frames of the host that were no frames, by their length or their buffer; dropped.
    pub from_host_bad: u64,
    /// Transmit doorbells with forced completions: ioctl(2).
    pub tx_syncs: u64,
    /// Receive doorbells outside of poll(2): ioctl(2).
    pub rx_syncs: u64,
    /// Calls of poll(2).
    pub polls: u64,
    /// Turns that needed no system call, since received frames waited.
    pub busy: u64,
    /// Bytes that the caller copied from buffer to buffer.
    pub copied_bytes: u64,
}

impl NetmapStats {
    /// System calls.
    pub fn system_calls(&self) -> u64 {
        self.tx_syncs + self.rx_syncs + self.polls
    }
}
