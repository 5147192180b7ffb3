//! Every key of the format, with its unit in its name, its bounds and its default.

use crate::schema::{Key, Kind, Section, key};
use simoom_core::tcp::congestion::Algorithm;

/// An hour of simulated time, in milliseconds, a hundred times over: no scenario needs more.
const MS_MAX: f64 = 360_000_000.0;

/// The file itself.
pub(crate) static FILE: Section = Section {
    title: "a scenario",
    about: "What stands at the top of the file.",
    keys: &[&[
        key("title", Kind::Text, "required", "one line, for lists and reports"),
        key("about", Kind::Text, "required", "what the scenario shows, and why it is worth showing"),
        key("source", Kind::Text, "none", "where its numbers come from"),
        key("status", Kind::OneOf(&["done", "not-yet"]), "done", "`not-yet`: the mechanism that `expect` asks for is not built; `pinned` says what happens instead, and a run that meets `expect` fails, so that the line goes when its time has come"),
        key("needs", Kind::Text, "none", "what a `not-yet` scenario waits for"),
        key("seeds", Kind::Whole(1, 1_000_000), "3", "seeds of a plain run: 0, 1, 2 …"),
        key("seed_first", Kind::Whole(0, u64::MAX >> 1), "0", "the first of them, where it is another"),
        key("promises", Kind::Flag, "true", "whether stacks are held to the model of TCP's promises, besides the other oracles"),
        key("columns", Kind::Texts, "`completed`, `failed`, `goodput_mbit`, `time_max_ms`, `retransmitted_segments`", "measures in the table of results"),
        key("host", Kind::Section, "required", "`[host.NAME]`, one for each host"),
        key("link", Kind::Section, "required", "`[link.NAME]`, one for each link"),
        key("at", Kind::Section, "none", "`[[at]]`: what changes while the world runs"),
        key("limits", Kind::Section, "see there", "where a run is stopped"),
        key("expect", Kind::Section, "none", "measures and what they must be"),
        key("pinned", Kind::Section, "none", "the same for a `not-yet` scenario: what they are at present"),
        key("sweep", Kind::Section, "none", "`\"link.path.loss_percent\" = [0, 1]`: axes that are multiplied out into cases"),
        key("case", Kind::Section, "none", "`[[case]]`: named changes to the file, each a case; multiplied with the axes of `sweep`"),
        key("where", Kind::Section, "none", "`[[where]]`: expectations for some of the cases"),
        key("fault", Kind::Section, "none", "`[[fault]]`: what happens to single frames. Where it stands, every chance is off and exactly these happen; `fault = []` is nothing at all"),
    ]],
};

/// What a `[[case]]` says.
pub(crate) static CASE: Section = Section {
    title: "a case",
    about: "`[[case]]`: a variation that has a name.",
    keys: &[&[
        key("name", Kind::Text, "required", "letters, digits, `-`, `_` and `.`"),
        key("set", Kind::Section, "none", "values that are put in: `set = { \"link.path.delay_ms\" = 5 }`"),
        key("expect", Kind::Section, "none", "expectations of this case, besides those of the file and in place of those for the same measure"),
        key("pinned", Kind::Section, "none", "the same for a `not-yet` scenario"),
    ]],
};

/// What a `[[where]]` says, besides the axes.
pub(crate) static WHERE: Section = Section {
    title: "a where",
    about: "`[[where]]`: expectations for the cases in which each axis named here has the value, or one of the values, given: `\"link.path.loss_percent\" = [5, 10]`. The axis of `[[case]]` is called `case`.",
    keys: &[&[
        key("expect", Kind::Section, "none", "expectations, besides those of the file and in place of those for the same measure"),
        key("pinned", Kind::Section, "none", "the same for a `not-yet` scenario"),
    ]],
};

/// What may stand behind a measure.
pub(crate) static BOUND: Section = Section {
    title: "an expectation",
    about: "Behind the name of a measure stands a number, which it must have exactly, or a table of bounds.",
    keys: &[&[
        key("min", Kind::Number(-1e18, 1e18), "none", "the measure is at least this"),
        key("max", Kind::Number(-1e18, 1e18), "none", "the measure is at most this"),
    ]],
};

/// Limits.
pub(crate) static LIMITS: Section = Section {
    title: "limits",
    about: "`[limits]`: a run goes on until all work is done, then heals, and must come to rest. What takes longer than this is stopped, and the run has failed; the answer says at which event and why.",
    keys: &[&[
        key("simulated_s", Kind::Number(0.001, 1e6), "3600", "simulated time at most until the work is done"),
        key("events", Kind::Whole(1, 1_000_000_000_000), "100000000", "events at most, healing included"),
        key("measure_at_s", Kind::Number(0.001, 1e6), "when the work is done", "measures are taken at this time, whether or not the work is done; then the world heals, and it is enough that every client whose work is not done gets further bytes"),
        key("rest_s", Kind::Number(1.0, 1e6), "1800", "simulated time at most from healing until every connection is over"),
    ]],
};

/// Presets of links, as files say them.
pub(crate) const PRESETS: &[&str] =
    &["lan", "datacentre", "fibre", "lte", "satellite", "lossy-wifi"];

/// What is the same for both directions of a link, and can change.
pub(crate) static LINK_KEYS: &[Key] = &[
    key("preset", Kind::OneOf(PRESETS), "none", "the numbers of a kind of link, which the other keys then change; forward is the way up, from `from` as the user's end"),
    key("rate_mbit", Kind::Number(0.001, 1_000_000.0), "1000", "million bits a second"),
    key("delay_ms", Kind::Number(0.0, 60_000.0), "1", "propagation, one way"),
    key("overhead_bytes", Kind::Whole(0, 1000), "0", "bytes that a frame takes beyond its own; Ethernet has 24 for preamble, FCS and gap"),
    key("queue_packets", Kind::Whole(0, 100_000_000), "1000", "frames that wait at most, the one being sent not counted"),
    key("queue_kb", Kind::Number(0.0, 1e9), "no bound", "thousand bytes that wait at most"),
    key("queue_bdp", Kind::Number(0.001, 1000.0), "none", "the bound of the queue as a multiple of rate times round trip (the delays of both directions); in place of `queue_packets` and `queue_kb`"),
    key("loss_percent", Kind::Number(0.0, 100.0), "0", "how likely a frame is lost, each on its own"),
    key("reorder_percent", Kind::Number(0.0, 100.0), "0", "how likely a frame is delayed, so that later ones pass it"),
    key("reorder_by_ms", Kind::Number(0.0, 60_000.0), "1", "by how much at most"),
    key("duplicate_percent", Kind::Number(0.0, 100.0), "0", "how likely a frame arrives twice"),
    key("corrupt_percent", Kind::Number(0.0, 100.0), "0", "how likely bits of one byte flip, behind the Ethernet header"),
    key("forge_percent", Kind::Number(0.0, 100.0), "0", "how likely bits of one byte of a TCP segment's text flip and its checksum is made right: nobody can notice but who knows the content"),
    key("truncate_percent", Kind::Number(0.0, 100.0), "0", "how likely only the first bytes of a packet arrive"),
    key("jitter_ms", Kind::Number(0.0, 60_000.0), "0", "what varies the delay: the most (`uniform`), or the mean"),
    key("jitter", Kind::OneOf(&["uniform", "normal", "exponential"]), "uniform", "how it is distributed"),
    key("jitter_deviation_ms", Kind::Number(0.0, 60_000.0), "a quarter of `jitter_ms`", "the standard deviation of `normal`"),
    key("jitter_reorders", Kind::Flag, "false", "whether later frames pass earlier ones by it"),
    key("burst_start_percent", Kind::Number(0.0, 100.0), "none", "losses in bursts (Gilbert, Elliott): how likely the link turns bad after a frame"),
    key("burst_end_percent", Kind::Number(0.0001, 100.0), "25", "how likely it turns good again"),
    key("burst_loss_percent", Kind::Number(0.0, 100.0), "100", "how likely a frame is lost while it is bad"),
    key("burst_good_loss_percent", Kind::Number(0.0, 100.0), "0", "how likely while it is good"),
    key("lose_every", Kind::Whole(1, 1_000_000_000), "none", "one frame in so many is lost"),
    key("lose_every_first", Kind::Whole(1, 1_000_000_000), "as `lose_every`", "which is the first"),
    key("lose_frames", Kind::Numbers(1.0, 1e15), "none", "which frames are lost: the first that is offered is 1"),
    key("lose_byte", Kind::Whole(0, 1_000_000_000_000), "none", "a byte of each TCP stream that is lost with its segment; the first is 0"),
    key("lose_byte_times", Kind::Numbers(0.0, 1e6), "0", "at which times of sending: 0 the first, 3 the third retransmission"),
    key("ack_loss_percent", Kind::Number(0.0, 100.0), "0", "how likely a pure ACK is lost"),
    key("ack_bunch", Kind::Whole(2, 10_000), "none", "pure ACKs are held until so many are there"),
    key("ack_bunch_ms", Kind::Number(0.001, 60_000.0), "10", "or the first has waited so long"),
    key("displace_percent", Kind::Number(0.0, 100.0), "0", "how likely a frame is held until others have passed it"),
    key("displace_frames", Kind::Whole(1, 1_000_000), "3", "how many have to pass"),
    key("displace_hold_ms", Kind::Number(0.001, 60_000.0), "100", "how long it is held at most"),
    key("mtu_bytes", Kind::Whole(68, 65_535), "none", "the longest packet; a longer one is dropped"),
    key("mtu_icmp", Kind::Flag, "false", "whether its sender is told (RFC 1191); else the link is a black hole"),
    key("aqm", Kind::OneOf(&["drop-tail", "codel"]), "drop-tail", "what the queue does before it is full; CoDel: RFC 8289"),
    key("codel_target_ms", Kind::Number(0.001, 60_000.0), "5", "the standing delay that is acceptable"),
    key("codel_interval_ms", Kind::Number(0.001, 60_000.0), "100", "how long it may stand above that"),
    key("codel_ecn", Kind::Flag, "false", "whether packets that can be are marked in place of being dropped (RFC 3168)"),
    key("trace_file", Kind::Text, "none", "when the link sends, in place of `rate_mbit`: a recording in mahimahi's format, beside the scenario"),
    key("trace_ms", Kind::Numbers(0.0, 4e9), "none", "the same in the file: whole milliseconds, ascending, each an opportunity for 1,500 bytes; then it begins anew"),
    key("down", Kind::Flag, "false", "the link is down"),
    key("down_holds", Kind::Flag, "false", "whether frames wait meanwhile in the queue, in place of being dropped"),
    key("flap_up_ms", Kind::Number(0.001, 1e8), "none", "the link goes down and comes back, over and over: how long it is up"),
    key("flap_down_ms", Kind::Number(0.001, 1e8), "100", "and how long down"),
    key("flap_first_ms", Kind::Number(0.0, 1e8), "as `flap_up_ms`", "when it goes down for the first time"),
];

/// A link.
pub(crate) static LINK: Section = Section {
    title: "a link",
    about: "`[link.NAME]`: two hosts are joined. What stands here holds for both directions; `[link.NAME.forward]` (from `from` to `to`) and `[link.NAME.backward]` take the same keys, but for the first two, for one.",
    keys: &[
        &[
            key("from", Kind::Text, "required", "the name of a host"),
            key("to", Kind::Text, "required", "the name of another"),
            key("forward", Kind::Section, "none", "what is different from `from` to `to`"),
            key("backward", Kind::Section, "none", "what is different from `to` to `from`"),
            key("each_interface", Kind::Flag, "false", "of a link to a machine: it stands there once for each of the machine's `interfaces`, and so does the host at its other end, which has no other link. The first have the names of the file, the others `NAME-2`, `NAME-3` …; what `[[at]]` says of the first holds for all"),
        ],
        LINK_KEYS,
    ],
};

/// A link alone in its file.
pub(crate) static LINK_ALONE: Section = Section {
    title: "a link alone",
    about: "`[link]` in a file of its own, which `simoom relay` reads: the keys of `[link.NAME]`, but for the two ends. Forward is from the first port to the second.",
    keys: &[
        &[
            key("forward", Kind::Section, "none", "what is different on the way there"),
            key("backward", Kind::Section, "none", "what is different on the way back"),
        ],
        LINK_KEYS,
    ],
};

/// The file of a link alone.
pub(crate) static LINK_FILE: Section = Section {
    title: "the file of a link",
    about: "What stands at the top of it.",
    keys: &[&[key("link", Kind::Section, "required", "`[link]`, the only table")]],
};

/// The file of a NIC.
pub(crate) static NIC_FILE: Section = Section {
    title: "the file of a NIC",
    about: "What `simoom verify` writes and `simoom sim --nic` takes: what every host of our own stack has for a NIC, in place of what the scenario says; axes and cases of the scenario come after it.",
    keys: &[&[
        key("nic", Kind::Section, "required", "`[nic]`, the keys of a host that say what its NIC is like"),
        key("measured", Kind::Section, "none", "`[measured]`, what they were taken from"),
    ]],
};

/// What a NIC is like, where that is all there is.
pub(crate) static NIC_ALONE: Section = Section {
    title: "a NIC alone",
    about: "`[nic]` in the file of a NIC: the keys that hosts of our own stack have for theirs. What is missing stays as the scenario says.",
    keys: &[NIC_KEYS],
};

/// Where a NIC's file comes from.
pub(crate) static NIC_MEASURED: Section = Section {
    title: "what a NIC was measured by",
    about: "`[measured]` in the file of a NIC: for people; a simulation does not look at it.",
    keys: &[&[
        key("from", Kind::Text, "none", "the port that sent"),
        key("to", Kind::Text, "none", "the port that received"),
        key("frames", Kind::Whole(0, 1 << 40), "none", "frames that came as they were sent"),
        key("missing", Kind::Whole(0, 1 << 40), "none", "frames that never came"),
        key("hold_lazy_frames", Kind::Whole(0, 1 << 20), "none", "later frames before a completion showed, at most, where completions were not forced"),
        key("hold_eager_frames", Kind::Whole(0, 1 << 20), "none", "the same where they were forced at every turn"),
        key("batch_max", Kind::Whole(0, 1 << 20), "none", "completions that showed at once, at most"),
        key("batch_mean", Kind::Number(0.0, 1e6), "none", "completions that showed at once, on average"),
        key("idle_unforced_frames", Kind::Whole(0, 1 << 20), "none", "frames that stayed when all had arrived and nothing was forced"),
        key("arrival_max_us", Kind::Number(0.0, 1e9), "none", "from submission to the peer's ring, at most"),
    ]],
};

/// One direction of a link.
pub(crate) static DIRECTION: Section = Section {
    title: "a direction of a link",
    about: "`[link.NAME.forward]` and `[link.NAME.backward]`.",
    keys: &[LINK_KEYS],
};

/// A change.
pub(crate) static AT: Section = Section {
    title: "a change",
    about: "`[[at]]`: at some time a link is different from then on, in what is named here: its keys are those of a link. Or the NIC of a host of ours stands still for a while.",
    keys: &[
        &[
            key("time_ms", Kind::Number(0.0, MS_MAX), "required", "when, from the start of the world"),
            key("link", Kind::Text, "this or `host` is required", "the name of the link"),
            key("direction", Kind::OneOf(&["forward", "backward", "both"]), "both", "which direction"),
            key("host", Kind::Text, "none", "the name of a host whose NIC stands still"),
            key("stall_ms", Kind::Number(0.001, 1e6), "required with `host`", "for how long"),
            key("stall_what", Kind::Texts, "all three", "what stands still: `receive`, `transmit`, `report`"),
        ],
        LINK_KEYS,
    ],
};

/// A fault.
pub(crate) static FAULT: Section = Section {
    title: "a fault",
    about: "`[[fault]]`: what happens to one frame. A run that failed is written with these.",
    keys: &[&[
        key("link", Kind::Text, "required", "the name of the link"),
        key("direction", Kind::OneOf(&["forward", "backward"]), "required", "which direction"),
        key("frame", Kind::Whole(1, u64::MAX >> 1), "required", "which frame: the first that is offered to this direction is 1"),
        key("kind", Kind::OneOf(&["lost", "delayed", "duplicated", "corrupted", "truncated", "displaced"]), "required", "what happens to it"),
        key("by_ns", Kind::Whole(0, 1 << 50), "required for `delayed` and `displaced`", "how much later it arrives, or how long it is held at most"),
        key("frames", Kind::Whole(1, 1 << 30), "required for `displaced`", "how many have to pass it"),
        key("offset", Kind::Whole(0, 65_535), "required for `corrupted`", "which byte, the frame's first being 0"),
        key("mask", Kind::Whole(1, 255), "required for `corrupted`", "the bits that flip"),
        key("repaired", Kind::Flag, "false", "whether its checksums are made right again"),
        key("len_bytes", Kind::Whole(0, 65_535), "required for `truncated`", "how many bytes of it arrive"),
    ]],
};

const KIND: Key = key("kind", Kind::OneOf(HOST_KINDS), "required", "what the host is");

/// Names of congestion controllers, in the order of [`Algorithm::ALL`].
pub(crate) static CONTROLLERS: [&str; Algorithm::ALL.len()] = {
    let mut names = [""; Algorithm::ALL.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = Algorithm::ALL[n].name();
        n += 1;
    }
    names
};

/// What a host can be.
pub(crate) const HOST_KINDS: &[&str] = &[
    "server", "client", "machine", "smoltcp-server", "smoltcp-client", "receiver", "switch",
    "cross-source", "cross-sink", "syn-flood", "random-segments", "blind-injector",
    "optimistic-acker", "browser", "scripted",
];

/// When a NIC reads a frame, as files say it.
pub(crate) const DMA: &[&str] =
    &["at-once", "when-wire-is-free", "next-turn", "half-ring", "whole-ring", "random", "any"];

/// When a NIC reports that it has, as files say it.
pub(crate) const COMPLETION: &[&str] = &["at-read", "at-sent", "half-ring", "whole-ring", "any"];

/// How content is sent, as files say it.
pub(crate) const MODES: &[&str] =
    &["copy", "copies-in-advance", "copies-on-demand", "gather", "any"];

static NIC_KEYS: &[Key] = &[
    key("nic_mbit", Kind::Number(0.001, 1_000_000.0), "10000", "the NIC's rate, million bits a second"),
    key("tx_slots", Kind::Whole(2, 65_536), "256", "slots of the transmit ring: one a frame, two where text is sent in the mode `gather`"),
    key("rx_slots", Kind::Whole(1, 1_000_000), "256", "frames that the receive ring holds; more are dropped"),
    key("buffers", Kind::Whole(16, 1_000_000), "1024, or four for each slot of the ring", "packet buffers"),
    key("dma", Kind::OneOf(DMA), "any", "when the NIC reads a frame that was submitted; `random` draws a time for each frame, `any` draws one of the policies from the seed"),
    key("completion", Kind::OneOf(COMPLETION), "any", "when it says that it has; `any` draws from the seed"),
    key("lateness_us", Kind::Number(0.0, 1e9), "100", "how long a frame waits at most before it is read, once the wire is free"),
    key("hold_frames", Kind::Whole(1, 65_536), "the slots of the ring", "later frames before a completion shows, at most"),
    key("hold_idle_frames", Kind::Whole(0, 32_768), "1", "frames that stay with the NIC when it idles, each with its buffer and its slots"),
    key("rx_coalesce_us", Kind::Number(0.0, 1e6), "0", "how long after a frame's arrival the stack's turn begins"),
    key("stall_every_ms", Kind::Number(0.001, 1e9), "none", "the NIC stands still by itself: the mean time from one stall to the next, exponentially distributed"),
    key("stall_ms", Kind::Number(0.001, 1e6), "1", "how long such a stall lasts at most"),
    key("stall_what", Kind::Texts, "all three", "what stands still then: `receive` (frames are not shown), `transmit` (frames are not read), `report` (completions are not reported)"),
];

static TCP_KEYS: &[Key] = &[
    key("mss_bytes", Kind::Whole(64, 1460), "1460", "the MSS that is announced"),
    key("receive_window_kb", Kind::Number(0.256, 1_000_000.0), "16 for a server, 256 for a client", "thousand bytes of receive buffer of a connection: the largest window"),
    key("timestamps", Kind::Flag, "true", "RFC 7323 timestamps"),
    key("window_scaling", Kind::Flag, "true", "RFC 7323 window scaling"),
    key("initial_window_segments", Kind::Whole(1, 1000), "10", "the initial congestion window"),
    key("min_rto_ms", Kind::Number(0.001, 60_000.0), "200", "the shortest retransmission timeout"),
    key("initial_rto_ms", Kind::Number(0.001, 60_000.0), "1000", "the timeout before the first sample"),
    key("max_rto_ms", Kind::Number(1.0, 600_000.0), "60000", "the longest retransmission timeout"),
    key("delayed_ack_ms", Kind::Number(0.0, 500.0), "40", "how long an ACK may wait; 0 for not at all"),
    key("time_wait_s", Kind::Number(0.0, 3600.0), "60", "how long TIME-WAIT lasts"),
    key("retries_max", Kind::Whole(1, 255), "15", "timeouts in a row before a connection is given up"),
    key("syn_retries_max", Kind::Whole(1, 255), "15", "timeouts in a row before a SYN is given up"),
    key("nagle", Kind::Flag, "false", "whether short segments wait for the ACK of what is in flight"),
    key("controller", Kind::OneOf(&CONTROLLERS), "new-reno", "congestion control"),
];

static WORK_KEYS: &[Key] = &[
    key("server", Kind::Text, "required", "the name of the host that is asked"),
    key("connections", Kind::Whole(1, 60_000), "1", "connections open at once"),
    key("requests", Kind::Whole(1, 100_000_000), "one a connection", "requests in all"),
    key("size_bytes", Kind::Numbers(0.0, 1e10), "none", "bytes of what is asked for: one size, or several in turn"),
    key("size_kb", Kind::Numbers(0.0, 1e7), "none", "the same in thousand bytes; one of the three is required"),
    key("size_mb", Kind::Numbers(0.0, 1e4), "none", "the same in million bytes"),
];

static SMOLTCP_KEYS: &[Key] = &[
    key("receive_kb", Kind::Number(0.064, 100_000.0), "65.536", "thousand bytes of receive buffer of a socket"),
    key("send_kb", Kind::Number(0.064, 100_000.0), "65.536", "thousand bytes of send buffer of a socket"),
    key("mtu_bytes", Kind::Whole(104, 1500), "1500", "the longest IP packet: the MSS is 40 less"),
];

static SERVER_KEYS: &[Key] = &[
    key("site_pages", Kind::Whole(1, 10_000), "none", "a site of so many pages, for browsers"),
    key("site_objects_max", Kind::Whole(0, 1000), "20", "objects of a page at most, besides its document; at least a tenth"),
    key("site_object_kb_max", Kind::Number(1.0, 1e6), "2000", "thousand bytes of an object at most; sizes are Pareto distributed from 500 bytes on"),
    key("mode", Kind::OneOf(MODES), "any", "how content is sent; `gather` has a NIC that makes frames of two parts; `any` draws one of the other three from the seed"),
    key("copies", Kind::Whole(1, 64), "2", "copies of each segment in mode `copies-in-advance`"),
    key("connections_max", Kind::Whole(1, 4_000_000), "what its clients need", "connections in any state, at most"),
    key("half_open_max", Kind::Whole(1, 4_000_000), "as many", "connections not yet established, at most"),
    key("request_timeout_s", Kind::Number(0.001, 1e6), "600", "from the first byte of a head to its last"),
    key("idle_timeout_s", Kind::Number(0.001, 1e6), "600", "without a request"),
    key("stall_timeout_s", Kind::Number(0.001, 1e6), "36000", "without an acknowledgement of an answer under way"),
];

/// Our file server.
pub(crate) static SERVER: Section = Section {
    title: "a host of kind `server`",
    about: "simoom's file server behind a modelled NIC. It has what its clients ask for.",
    keys: &[
        &[KIND],
        SERVER_KEYS,
        TCP_KEYS,
        NIC_KEYS,
    ],
};

/// Our client.
pub(crate) static CLIENT: Section = Section {
    title: "a host of kind `client`",
    about: "simoom's own client, which compares every byte of every answer, behind a modelled NIC.",
    keys: &[
        &[KIND],
        WORK_KEYS,
        &[
            key("requests_per_connection", Kind::Whole(1, 1_000_000_000), "no bound", "then the connection is closed and another opened"),
            key("pipeline", Kind::Whole(1, 8), "1", "requests without an answer on one connection"),
            key("think_ms", Kind::Number(0.0, 3_600_000.0), "0", "from an answer to the next request"),
            key("order", Kind::OneOf(&["in-turn", "random"]), "in-turn", "which size is asked for next"),
        ],
        TCP_KEYS,
        NIC_KEYS,
    ],
};

/// smoltcp as a server.
pub(crate) static SMOLTCP_SERVER: Section = Section {
    title: "a host of kind `smoltcp-server`",
    about: "A server over smoltcp, without a NIC: a yardstick.",
    keys: &[
        &[KIND, key("sockets", Kind::Whole(1, 10_000), "what its clients need", "connections at once")],
        SMOLTCP_KEYS,
    ],
};

/// smoltcp as a client.
pub(crate) static SMOLTCP_CLIENT: Section = Section {
    title: "a host of kind `smoltcp-client`",
    about: "A client over smoltcp, an independent TCP, without a NIC. It compares every byte.",
    keys: &[
        &[KIND],
        WORK_KEYS,
        &[key("keep_alive", Kind::Flag, "true", "whether a connection is used again")],
        SMOLTCP_KEYS,
    ],
};

/// A server with cores.
pub(crate) static MACHINE: Section = Section {
    title: "a host of kind `machine`",
    about: "simoom's file server on several cores: interfaces with several rings, each with a stack of its own. Turns take time by a measured model, so that the load of the cores is a result. Each interface is a network of its own: the first link of the file that names the machine is on interface 0, and so on.",
    keys: &[
        &[
            KIND,
            key("cores", Kind::Whole(0, 64), "1", "cores; the rings of all interfaces are dealt to them in turn. 0: as many as there are rings"),
            key("interfaces", Kind::Whole(1, 64), "1", "interfaces: as many links, or one with `each_interface`"),
            key("rings", Kind::Whole(1, 64), "1", "rings of each interface, and so stacks"),
            key("cost_file", Kind::Text, "none: turns take no time", "the file of measured costs, beside the scenario: `costs.toml`"),
            key("checksums", Kind::OneOf(&["software", "offloaded"]), "software", "whether the stacks compute and verify checksums, or the NIC: which of the file's costs hold"),
            key("tx_coalesce_us", Kind::Number(0.0, 1e6), "0", "how long after its last turn completions alone give a stack another"),
        ],
        SERVER_KEYS,
        TCP_KEYS,
        NIC_KEYS,
    ],
};

/// A receiver of any manners.
pub(crate) static RECEIVER: Section = Section {
    title: "a host of kind `receiver`",
    about: "A client of an independent and obvious TCP, without a NIC: an ideal receiver unless it is told to read slowly, to acknowledge in parts, to take back what it offered, to hang up in mid-answer.",
    keys: &[&[
        KIND,
        key("server", Kind::Text, "required", "the name of the host that is asked"),
        key("connections", Kind::Whole(1, 40_000), "1", "connections open at once"),
        key("rounds", Kind::Whole(1, 40_000), "1", "how many connections follow each other in the place of each"),
        key("requests_each", Kind::Whole(1, 1_000_000), "1", "requests of each connection, one after the other"),
        key("size_bytes", Kind::Numbers(0.0, 1e10), "none", "bytes of what is asked for: one size, or several in turn"),
        key("size_kb", Kind::Numbers(0.0, 1e7), "none", "the same in thousand bytes; one of the three is required"),
        key("size_mb", Kind::Numbers(0.0, 1e4), "none", "the same in million bytes"),
        key("start_ms", Kind::Number(0.0, MS_MAX), "0", "when the first connection is opened"),
        key("stagger_ms", Kind::Number(0.0, 1e6), "0", "from the opening of one of the first connections to that of the next"),
        key("think_ms", Kind::Number(0.0, 1e7), "0", "from an answer to the next request of the same connection"),
        key("mss_bytes", Kind::Whole(1, 9000), "1460", "the MSS that is announced"),
        key("window_kb", Kind::Number(0.001, 1_000_000.0), "1000000", "thousand bytes of window"),
        key("window_scaling", Kind::Flag, "true", "whether window scaling is offered; without it the window ends at 65,535 bytes"),
        key("timestamps", Kind::Flag, "true", "whether timestamps are offered"),
        key("sack", Kind::Flag, "false", "whether SACK is offered, and gaps are reported"),
        key("ack_every", Kind::Whole(1, 1000), "1", "segments to one ACK"),
        key("ack_delay_ms", Kind::Number(0.0, 500.0), "40 where `ack_every` is above 1", "how long an ACK waits at most"),
        key("ack_parts", Kind::Whole(1, 1460), "none", "hostile: each segment is acknowledged in so many steps"),
        key("read_kbit", Kind::Number(0.001, 1e9), "none: at once", "the application reads so many thousand bits a second"),
        key("read_chunk_bytes", Kind::Whole(1, 1_000_000_000), "4096", "bytes of one such read"),
        key("read_stall_at_kb", Kind::Number(0.0, 1e9), "none", "thousand bytes after which it stops reading once"),
        key("read_stall_ms", Kind::Number(0.001, 1e8), "1000", "for how long"),
        key("read_silly", Kind::Flag, "false", "hostile: tells of every byte of room at once"),
        key("shrink_after_kb", Kind::Number(0.0, 1e9), "none", "hostile: takes offered window back after so many thousand bytes"),
        key("shrink_every_kb", Kind::Number(0.0, 1e9), "0: once", "and again after so many more"),
        key("shrink_to_bytes", Kind::Whole(0, 1_000_000_000), "0", "to so many bytes"),
        key("shrink_hold_ms", Kind::Number(0.001, 1e7), "1000", "for so long"),
        key("closing", Kind::OneOf(&["after-answers", "behind-requests", "after-server", "abort", "vanish"]), "after-answers", "FIN when the last answer was read, right behind the last request (a half-close), or after the server's; RST, or silence for ever, in mid-answer"),
        key("closing_after_kb", Kind::Number(0.0, 1e9), "0: when it is open", "for `abort` and `vanish`: after so many thousand bytes of the stream"),
        key("drip_ms", Kind::Number(0.001, 1e7), "none", "hostile: a request is sent one byte at a time, so far apart"),
        key("verify_one_in", Kind::Whole(1, 1_000_000), "1", "of how many segments one is compared with what is expected; all by default"),
    ]],
};

/// A browser.
pub(crate) static BROWSER: Section = Section {
    title: "a host of kind `browser`",
    about: "A browser on simoom's own stack: loads pages of its server's site over several connections that are kept, and thinks in between. A file is a request of the measures; times are those of pages.",
    keys: &[
        &[
            KIND,
            key("server", Kind::Text, "required", "the name of the host that is asked: it needs `site_pages`"),
            key("pages", Kind::Whole(1, 1_000_000), "required", "pages to load, one after the other"),
            key("connections", Kind::Whole(1, 1000), "6", "connections at once at most"),
            key("think_ms", Kind::Number(0.0, 3_600_000.0), "5000", "the mean time from a page to the next, exponentially distributed"),
            key("think_max_ms", Kind::Number(0.0, 3_600_000.0), "60000", "the longest of these times"),
            key("give_up_s", Kind::Number(0.001, 1e6), "600", "when a request that is not answered is given up"),
        ],
        TCP_KEYS,
        NIC_KEYS,
    ],
};

/// A scripted peer.
pub(crate) static SCRIPTED: Section = Section {
    title: "a host of kind `scripted`",
    about: "A peer that follows a script: packets that it sends at times or after events, and packets that must come. With `server` it is a client, without it waits on port 80 for a SYN, and is somebody's `server`. A script that goes to its end as it says is a request completed, another is one failed.",
    keys: &[&[
        KIND,
        key("server", Kind::Text, "none", "the name of the host that it talks to"),
        key("script", Kind::Text, "required", "one step a line: `[at TIME] [after TIME] send PACKET`, `expect [within TIME] PACKET`, `silence TIME`; see the simulator's `hosts::scripted::text`"),
        key("tolerance_ms", Kind::Number(0.0, 60_000.0), "1", "by how much a packet that is expected at a time may come earlier or later"),
        key("size_bytes", Kind::Numbers(0.0, 1e10), "none", "bytes of what it asks for, so that the server has it as `/SIZE`"),
        key("lawless", Kind::Flag, "false", "what it sends itself may break the rules that the oracles hold every host to; what others send may not"),
    ]],
};

/// A switch.
pub(crate) static SWITCH: Section = Section {
    title: "a host of kind `switch`",
    about: "Joins the links that name it, without delay and without faults: its links have those. Two of them with one link between make a dumbbell.",
    keys: &[&[
        KIND,
        key("mirror_to", Kind::Text, "none", "the name of a host on it that gets a copy of every frame"),
    ]],
};

/// Cross traffic.
pub(crate) static CROSS_SOURCE: Section = Section {
    title: "a host of kind `cross-source`",
    about: "Sends datagrams that nobody asked for and that slow down for nobody.",
    keys: &[&[
        KIND,
        key("to", Kind::Text, "required", "the name of a host of kind `cross-sink`"),
        key("rate_mbit", Kind::Number(0.001, 1_000_000.0), "required", "million bits a second while it sends, in whole frames"),
        key("frame_bytes", Kind::Whole(60, 1514), "1514", "bytes of a frame"),
        key("gaps", Kind::OneOf(&["even", "poisson"]), "even", "when the frames leave"),
        key("on_ms", Kind::Number(0.001, 1e7), "none: all the time", "the mean time for which it sends, exponentially distributed"),
        key("off_ms", Kind::Number(0.001, 1e7), "as `on_ms`", "the mean time for which it then pauses, likewise"),
        key("start_ms", Kind::Number(0.0, MS_MAX), "0", "when it begins"),
        key("stop_ms", Kind::Number(0.0, MS_MAX), "required", "when it ends"),
    ]],
};

/// Where cross traffic ends.
pub(crate) static CROSS_SINK: Section = Section {
    title: "a host of kind `cross-sink`",
    about: "Counts what sources of cross traffic send to it.",
    keys: &[&[KIND]],
};

static PACE_KEYS: &[Key] = &[
    key("server", Kind::Text, "required", "the name of the host that is attacked"),
    key("start_ms", Kind::Number(0.0, MS_MAX), "0", "when it begins"),
    key("per_second", Kind::Whole(1, 1_000_000_000), "required", "how often a second"),
    key("count", Kind::Whole(1, 1_000_000_000), "required", "how often in all"),
];

/// A SYN flood.
pub(crate) static SYN_FLOOD: Section = Section {
    title: "a host of kind `syn-flood`",
    about: "Hostile: sends SYNs in the name of hosts that do not exist.",
    keys: &[
        &[KIND],
        PACE_KEYS,
        &[key("sources", Kind::Whole(1, 10_000), "1000", "how many hosts it pretends to be")],
    ],
};

/// Random segments.
pub(crate) static RANDOM_SEGMENTS: Section = Section {
    title: "a host of kind `random-segments`",
    about: "Hostile: sends segments with random flags, numbers, windows, options and text.",
    keys: &[
        &[KIND],
        PACE_KEYS,
        &[
            key("ports", Kind::Whole(1, 60_000), "16", "ports from which it sends; with few, one hits what another began"),
            key("malformed_percent", Kind::Number(0.0, 100.0), "10", "how many have wrong bytes in their headers"),
        ],
    ],
};

/// A blind injector.
pub(crate) static BLIND_INJECTOR: Section = Section {
    title: "a host of kind `blind-injector`",
    about: "Hostile: forges segments in the name of a client, whose numbers it guesses, or overhears where a switch mirrors to it.",
    keys: &[
        &[KIND],
        PACE_KEYS,
        &[
            key("victim", Kind::Text, "required", "the name of a host of kind `receiver`"),
            key("forgeries", Kind::Texts, "all three", "what is forged: `reset`, `syn`, `text`"),
            key("overheard", Kind::Flag, "false", "whether it knows the numbers, and aims `beyond_bytes` past what the server expects next"),
            key("beyond_bytes", Kind::Whole(0, 1_000_000_000), "1", "from so many bytes, to twice as many"),
        ],
    ],
};

/// An optimistic acker.
pub(crate) static OPTIMISTIC_ACKER: Section = Section {
    title: "a host of kind `optimistic-acker`",
    about: "Hostile: asks, and acknowledges what has not come, so that the server sends faster than the path bears.",
    keys: &[
        &[KIND],
        PACE_KEYS,
        &[
            key("size_kb", Kind::Number(0.0, 1e7), "required", "thousand bytes of what it asks for"),
            key("step_bytes", Kind::Whole(1, 1_000_000), "1460", "by how many bytes each ACK goes beyond the one before"),
            key("ahead_kb", Kind::Number(0.0, 1e6), "1000", "how many thousand bytes beyond the last that came it acknowledges at most"),
        ],
    ],
};

/// Every section, in the order of the reference.
pub(crate) static ALL: &[&Section] = &[
    &FILE, &SERVER, &CLIENT, &MACHINE, &SMOLTCP_SERVER, &SMOLTCP_CLIENT, &RECEIVER, &SWITCH,
    &BROWSER, &SCRIPTED, &CROSS_SOURCE, &CROSS_SINK, &SYN_FLOOD, &RANDOM_SEGMENTS, &BLIND_INJECTOR, &OPTIMISTIC_ACKER,
    &LINK, &AT, &LIMITS, &BOUND, &CASE, &WHERE, &FAULT, &LINK_FILE,
    &LINK_ALONE, &NIC_FILE, &NIC_ALONE, &NIC_MEASURED,
];

