#!/usr/bin/env bash
# Makes the captures of this folder from the Linux kernel, nginx, curl and peers.py, in network
# namespaces of its own:
#
#   client ──TAP── simoom relay ──TAP── router ──veth── server
#   198.51.100.2   delay, loss          .1   .1          192.0.2.2
#   2001:db8:1::2                       ::1  ::1         2001:db8:2::2
#
# Delay, reordering, duplicates and chosen losses come from the relay's link, random and periodic
# losses from nftables in the router: never at a host that is captured. A run gives equivalent
# captures, not the same bytes; what a capture has to hold is checked with tshark as it is made.
#
#   make.sh [--out DIR] [--table] [SCENARIO...]
#
# Needs root, /dev/net/tun and target/release/simoom (`cargo build --release -p simoom`, or SIMOOM=PATH).
# --table prints the rows of README.md, which are the lines that begin with #| here. In this folder
# itself (no --out) a run also writes expected.tsv, and a whole one README.md's table.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/$(basename "${BASH_SOURCE[0]}")
simoom=${SIMOOM:-$here/../../target/release/simoom}
out=$here
declare -a wanted=()

while [ $# -gt 0 ]; do
    case $1 in
        --out) out=$2; shift ;;
        --table) sed -n 's/^#| /| /p' "$self"; exit ;;
        --help | -h) sed -n '2,/^set/s/^# \{0,1\}//p' "$self"; exit ;;
        -*) echo "unknown option $1" >&2; exit 2 ;;
        *) wanted+=("$1") ;;
    esac
    shift
done
mkdir -p "$out"
out=$(cd "$out" && pwd)

# What is missing, all of it at once.
if [ -z "${CAPTURE_LAB:-}" ]; then
    missing=()
    [ "$(id -u)" = 0 ] || missing+=("root")
    [ -e /dev/net/tun ] || missing+=("/dev/net/tun")
    [ -x "$simoom" ] || missing+=("$simoom: cargo build --release -p simoom, or SIMOOM=PATH")
    for pair in ip:iproute2 nft:nftables tcpdump:tcpdump tshark:tshark dumpcap:wireshark-common \
        editcap:wireshark-common nginx:nginx curl:curl openssl:openssl python3:python3 \
        ethtool:ethtool sysctl:procps zstd:zstd gzip:gzip unshare:util-linux; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair%%:*} (package ${pair##*:})")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        printf 'missing: %s\n' "${missing[@]}" >&2
        exit 3
    fi
    # Namespaces of its own: whatever happens, nothing is left behind on the machine.
    SIMOOM=$simoom CAPTURE_LAB=$(mktemp -d) exec unshare --net --mount --pid --fork \
        --kill-child --mount-proc bash "$self" --out "$out" "${wanted[@]}"
fi

lab=$CAPTURE_LAB
trap 'rm -rf "$lab"' EXIT
mkdir -p /run/netns
mount -t tmpfs none /run/netns
ip link set lo up
# The relay's devices begin here: no frame of their own may count on its links.
sysctl -q -w net.ipv6.conf.default.disable_ipv6=1
export HOME=$lab LC_ALL=C TZ=UTC

. "$here/lab.sh"

# Sent again. Seen from the server nothing is out of order; tshark says so where a retransmission
# follows sooner than the RTT that it knows.
again='(tcp.analysis.retransmission || tcp.analysis.out_of_order)'
server=192.0.2.2
S=http://$server
LAN='delay_ms = 1'
WAN=$'delay_ms = 20\nrate_mbit = 50'

# ---- the scenarios: a function each, make_NAME; what it makes stands above it --------------------

#| `clean-server.pcap`, `clean-client.pcap` | both ends | 40 ms RTT, three connections by curl: 1, 24 and 64 kB; the same frames from both sides, the client's cut at 120 bytes |
make_clean() {
    path <<<"$WAN"
    capture server eth0 clean-server.pcap
    capture client eth0 clean-client.pcap -s 120
    fetch_all $S/1k.txt $S/24k.txt $S/64k.txt
    captured
    holds clean-server.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 3 3
    holds clean-server.pcap 'tcp.analysis.retransmission' 0 0
    holds clean-client.pcap 'http.response.code == 200' 3 3
}

#| `keep-alive.pcapng` | server | one connection, six requests with 50 ms of thought between (peers.py); pcapng, nanoseconds |
make_keep_alive() {
    path <<<"$WAN"
    capture_ng server keep-alive.pcapng eth0
    peer client think $server 80 50 /1k.txt /8k.txt /1k.txt /24k.txt /8k.txt /1k.txt
    captured
    holds keep-alive.pcapng 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 1 1
    holds keep-alive.pcapng http.request 6 6
}

#| `pipelining.pcap` | server | five requests in one segment, five responses; nanoseconds |
make_pipelining() {
    path <<<"$WAN"
    capture server eth0 pipelining.pcap --time-stamp-precision=nano
    peer client pipeline $server 80 /1k.txt /8k.txt /1k.txt /8k.txt /1k.txt
    captured
    holds pipelining.pcap 'http.response.code == 200' 5
    holds pipelining.pcap 'tcp.len > 0 && tcp.dstport == 80' 1 1
}

#| `loss-server.pcap`, `loss-client.pcap` | both ends | 3 % of the frames lost at random (nftables) each way, five connections of 24 kB; the client's frames cut at 120 bytes |
make_loss() {
    path <<<"$WAN"
    lose numgen random mod 100 '<' 3
    capture server eth0 loss-server.pcap
    capture client eth0 loss-client.pcap -s 120
    for _ in 1 2 3 4 5; do fetch $S/24k.txt; done
    captured
    holds loss-server.pcap "$again && tcp.srcport == 80" 1
    holds loss-client.pcap 'tcp.srcport == 80 && tcp.len > 0' 80
}

#| `loss-periodic.pcap` | server | every 15th frame with text from the server lost (nftables), 200 kB on one connection, 40 ms RTT; frames cut at 120 bytes |
make_loss_periodic() {
    path <<<"$WAN"
    lose tcp sport 80 meta length '>' 500 numgen inc mod 15 14
    capture server eth0 loss-periodic.pcap -s 120
    fetch $S/200k.txt
    captured
    holds loss-periodic.pcap "$again" 5
    holds loss-periodic.pcap 'tcp.options.sack_le' 5
}

#| `fast-retransmit.pcap` | server | the fourth segment of the response lost once, to a client of a constant window: duplicate ACKs with SACK, one fast retransmission, no RTO; nanoseconds |
make_fast_retransmit() {
    path <<<"$WAN"$'\n[link.backward]\nlose_byte = 5000'
    capture server eth0 fast-retransmit.pcap --time-stamp-precision=nano
    peer client small $server 80 /24k.txt 60000
    captured
    holds fast-retransmit.pcap "$again" 1 1
    holds fast-retransmit.pcap 'tcp.analysis.duplicate_ack' 4
}

#| `fast-retransmit-early.pcap` | server | the same with curl, whose window grows meanwhile: the ACKs that ask for it are window updates to tshark, and the fast retransmission, made before three duplicates (RACK), is *out of order* to it |
make_fast_retransmit_early() {
    path <<<"$WAN"$'\n[link.backward]\nlose_byte = 5000'
    capture server eth0 fast-retransmit-early.pcap
    fetch $S/24k.txt
    captured
    holds fast-retransmit-early.pcap "$again" 1 1
    holds fast-retransmit-early.pcap 'tcp.options.sack_le' 4
}

#| `retransmission-lost.pcap` | server | the same segment lost twice, its fast retransmission being the second; frames cut at 120 bytes |
make_retransmission_lost() {
    path <<<"$WAN"$'\n[link.backward]\nlose_byte = 5000\nlose_byte_times = [0, 1]'
    capture server eth0 retransmission-lost.pcap -s 120
    peer client small $server 80 /64k.txt 60000
    captured
    holds retransmission-lost.pcap "$again" 2
}

#| `tail-loss-rto.pcap` | server | the last segment of a 24 kB response lost once, tail loss probe off (`tcp_early_retrans=0`): silence, then one retransmission by RTO, 200 ms and more later |
make_tail_loss_rto() {
    path <<<"$WAN"$'\n[link.backward]\nlose_byte = '$(last_byte 24k.txt)
    kernel server net.ipv4.tcp_early_retrans=0
    capture server eth0 tail-loss-rto.pcap
    fetch $S/24k.txt
    captured
    holds tail-loss-rto.pcap 'tcp.analysis.retransmission' 1 1
    holds tail-loss-rto.pcap 'tcp.analysis.retransmission && tcp.analysis.rto > 0.2' 1 1
    holds tail-loss-rto.pcap 'tcp.analysis.duplicate_ack' 0 0
}

#| `tail-loss-tlp.pcap` | server | the last three segments of the response lost once, the tail loss probe on: the probe repeats the last after two RTTs, its SACK starts the recovery of the others; nanoseconds |
make_tail_loss_tlp() {
    # Towards the client go the SYN-ACK, an ACK, the head and seventeen segments.
    path <<<"$WAN"$'\n[link.backward]\nlose_frames = [18, 19, 20]'
    capture server eth0 tail-loss-tlp.pcap --time-stamp-precision=nano
    fetch $S/24k.txt
    captured
    holds tail-loss-tlp.pcap "$again" 3 3
    holds tail-loss-tlp.pcap 'tcp.analysis.rto > 0.07 && tcp.analysis.rto < 0.2' 1
    holds tail-loss-tlp.pcap 'tcp.options.sack_le' 1
}

#| `tail-loss-backoff.pcap` | server | the last segment lost four times: the probe, then RTOs that double |
make_tail_loss_backoff() {
    path <<<"$WAN"$'\n[link.backward]\nlose_byte = '$(last_byte 8k.txt)$'\nlose_byte_times = [0, 1, 2, 3]'
    capture server eth0 tail-loss-backoff.pcap
    fetch $S/8k.txt
    captured
    holds tail-loss-backoff.pcap 'tcp.analysis.retransmission' 4 4
    holds tail-loss-backoff.pcap 'tcp.analysis.rto > 0.8' 1
}

#| `handshake-loss.pcap` | server | two connections: the SYN-ACK of the first lost once, sent again after 1 s; the request of both lost once, sent again by the client |
make_handshake_loss() {
    path <<<"$WAN"$'\n[link.forward]\nlose_byte = 10\n[link.backward]\nlose_frames = 1'
    capture server eth0 handshake-loss.pcap
    fetch_all $S/8k.txt $S/1k.txt
    captured
    holds handshake-loss.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 1' 3
    holds handshake-loss.pcap 'http.request' 2 2
}

#| `syn-lost-client.pcap` | client | the first SYN lost: it is sent again after 1 s |
make_syn_lost() {
    path <<<"$WAN"$'\n[link.forward]\nlose_frames = 1'
    capture client eth0 syn-lost-client.pcap
    fetch $S/1k.txt
    captured
    holds syn-lost-client.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 2 2
}

#| `reordering-server.pcap`, `reordering-client.pcap` | both ends | one frame in twelve of the server's overtaken by four others: out of order at the client, spurious retransmissions and D-SACK at the server |
make_reordering() {
    path <<<"$WAN"$'\n[link.backward]\ndisplace_percent = 8\ndisplace_frames = 4'
    capture server eth0 reordering-server.pcap -s 200
    capture client eth0 reordering-client.pcap -s 200
    fetch_all $S/64k.txt $S/64k.txt
    captured
    holds reordering-server.pcap 'tcp.analysis.duplicate_ack' 4
    holds reordering-client.pcap 'tcp.analysis.out_of_order' 1
    holds reordering-server.pcap 'tcp.options.sack.dsack' 1
}

#| `spurious-rto.pcap` | server | the way to the client stands still for 700 ms and then gives everything: RTO and probe were for nothing, D-SACK and timestamps tell |
make_spurious_rto() {
    path <<<"$WAN"$'\n[link.backward]\ndown_holds = true\nflap_up_ms = 100000\nflap_first_ms = 2200\nflap_down_ms = 700'
    capture server eth0 spurious-rto.pcap
    # The link's time began with the relay: something is under way whenever it stops.
    peer client think $server 80 50 $(for _ in 1 2 3 4 5 6 7; do echo /1k.txt /1k.txt /1k.txt /8k.txt; done)
    captured
    holds spurious-rto.pcap "$again && tcp.srcport == 80" 1
    holds spurious-rto.pcap 'tcp.options.sack.dsack' 1
}

#| `duplicates.pcap` | client | a tenth of the server's frames twice: the client's D-SACK without any retransmission |
make_duplicates() {
    path <<<"$WAN"$'\n[link.backward]\nduplicate_percent = 10'
    capture client eth0 duplicates.pcap -s 200
    fetch $S/64k.txt
    captured
    holds duplicates.pcap 'tcp.options.sack.dsack' 2
}

#| `ack-loss.pcap` | server | 60 % of the client's pure ACKs lost, others late: stretch ACKs |
make_ack_loss() {
    path <<<"$WAN"$'\n[link.forward]\nack_loss_percent = 60\njitter_ms = 15'
    capture server eth0 ack-loss.pcap -s 120
    fetch $S/200k.txt
    captured
    holds ack-loss.pcap 'tcp.srcport == 80 && tcp.len > 0' 100
}

#| `small-window.pcap` | server | a client that never offers more than some 4 kB (TCP_WINDOW_CLAMP): the window decides the speed |
make_small_window() {
    path <<<"$WAN"
    capture server eth0 small-window.pcap
    peer client small $server 80 /24k.txt 4096
    captured
    holds small-window.pcap 'tcp.dstport == 80 && tcp.window_size > 5000 && tcp.flags.syn == 0' 0 0
}

#| `zero-window.pcap` | server | a client that reads 3 kB every 60 ms, after 1.5 s of nothing: zero windows, window probes, updates; frames cut at 120 bytes |
make_zero_window() {
    path <<<"$LAN"
    capture server eth0 zero-window.pcap -s 120
    peer client slow $server 80 /64k.txt 8192 3000 60 1500
    captured
    holds zero-window.pcap 'tcp.analysis.zero_window' 2
    holds zero-window.pcap 'tcp.analysis.zero_window_probe || tcp.analysis.keep_alive' 1
    holds zero-window.pcap 'tcp.analysis.window_update' 2
}

#| `ipv6.pcapng` | server | IPv6: 24 kB, then three requests kept alive, 2 % loss towards the client |
make_ipv6() {
    path <<<"$WAN"
    ipv6_up
    lose tcp sport 80 numgen inc mod 20 12
    capture_ng server ipv6.pcapng eth0
    fetch 'http://[2001:db8:2::2]/24k.txt'
    peer client think 2001:db8:2::2 80 30 /1k.txt /8k.txt /24k.txt
    captured
    holds ipv6.pcapng 'ipv6 && tcp.srcport == 80 && tcp.len > 0' 30
    holds ipv6.pcapng "$again" 1
}

# Between router and server, all frames get these tags (PROTOCOL:ID, outermost first). peers.py
# puts them there: not every kernel has VLAN devices.
tagged() {
    local ns dev mac address far farmac
    while read -r ns dev mac address far farmac; do
        at "$ns" ip addr flush dev "$dev"
        helper "$ns" tag tagged "$dev" "$@"
        at "$ns" ip link set tagged address "$mac"
        at "$ns" ip addr add "$address/24" dev tagged
        at "$ns" ip link set tagged up mtu 1500
        at "$ns" ip neigh replace "$far" lladdr "$farmac" dev tagged
    done <<DEVICES
router r1 02:00:00:00:00:03 192.0.2.1 192.0.2.2 02:00:00:00:00:04
server eth0 02:00:00:00:00:04 192.0.2.2 192.0.2.1 02:00:00:00:00:03
DEVICES
    for ns in router:r1 server:eth0; do at "${ns%:*}" ip link set "${ns#*:}" mtu 1508; done
    server_route cubic
}

#| `vlan.pcap` | server | 802.1Q, tag 7, captured below the tagged device |
make_vlan() {
    path <<<"$WAN"
    tagged 8100:7
    capture server eth0 vlan.pcap
    fetch_all $S/8k.txt $S/24k.txt
    captured
    holds vlan.pcap 'vlan.id == 7 && http.response' 2 2
}

#| `qinq.pcap` | server | 802.1ad, tag 100, around 802.1Q, tag 7 |
make_qinq() {
    path <<<"$WAN"
    tagged 88a8:100 8100:7
    capture server eth0 qinq.pcap
    fetch $S/8k.txt
    captured
    holds qinq.pcap 'ieee8021ad && vlan.id == 7 && tcp' 10
}

#| `tls.pcap` | server | TLS 1.3, HTTP/1.1 over it, two connections, of which one with three requests |
make_tls() {
    path <<<"$WAN"
    capture server eth0 tls.pcap
    fetch https://$server/24k.txt
    at client curl -sS -k --http1.1 -o /dev/null https://$server/1k.txt -o /dev/null https://$server/8k.txt \
        -o /dev/null https://$server/1k.txt
    captured
    holds tls.pcap 'tls.handshake.type == 1' 2 2
    holds tls.pcap 'tls.record.content_type == 23' 6
}

#| `tls-h2.pcapng` | server | HTTP/2 over TLS: four requests on one connection, two at a time |
make_tls_h2() {
    path <<<"$WAN"
    capture_ng server tls-h2.pcapng eth0
    at client curl -sS -k --no-progress-meter --http2 --parallel --parallel-max 2 -o /dev/null https://$server/8k.txt \
        -o /dev/null https://$server/24k.txt -o /dev/null https://$server/1k.txt -o /dev/null https://$server/8k.txt 2>/dev/null
    captured
    holds tls-h2.pcapng 'tls.handshake.type == 1' 1
}

#| `client-reset.pcap` | server | two clients that give up in mid-response: one resets, one closes with data unread (a reset for each segment that still comes) |
make_client_reset() {
    path <<<"$WAN"
    capture server eth0 client-reset.pcap -s 200
    peer client reset $server 80 /200k.txt 20000
    peer client leave $server 80 /200k.txt 20000
    captured
    holds client-reset.pcap 'tcp.flags.reset == 1 && tcp.dstport == 80' 2
}

#| `server-abort.pcap` | server | a server that resets in mid-response, a port where nobody listens, and a server that closes with most of a POST unread (peers.py) |
make_server_abort() {
    path <<<"$WAN"
    helper server quitter 8088 20000
    helper server closer 8087 3000
    capture server eth0 server-abort.pcap
    fetch http://$server:8088/x 2>/dev/null || true
    peer client refused $server 8089
    fetch -H 'Expect:' --data-binary "@$lab/www/64k.txt" http://$server:8087/ 2>/dev/null || true
    captured
    holds server-abort.pcap 'tcp.flags.reset == 1 && tcp.srcport == 8088' 1
    holds server-abort.pcap 'tcp.flags.reset == 1 && tcp.srcport == 8089' 1 1
    holds server-abort.pcap 'tcp.flags.reset == 1 && tcp.srcport == 8087' 1
}

#| `half-close.pcap` | server | the client's FIN right behind its request: 8 kB are answered in full; of 64 kB nginx sends what its socket took at first, then gives up |
make_half_close() {
    path <<<"$WAN"
    capture server eth0 half-close.pcap
    peer client half $server 80 /8k.txt | grep -q '^8[0-9]* bytes' || die "not the whole response"
    peer client half $server 80 /64k.txt >/dev/null
    captured
    holds half-close.pcap 'tcp.flags.fin == 1 && tcp.dstport == 80' 2
    holds half-close.pcap 'tcp.stream == 0 && tcp.srcport == 80 && tcp.len > 0' 7
}

#| `short-connections.pcap.gz` | server | sixty connections of one 1 kB response, eight at a time; gzip |
make_short_connections() {
    path <<<"$LAN"
    capture server eth0 short-connections.pcap
    peer client many $server 80 /1k.txt 60 8
    captured
    holds short-connections.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 60 60
    gzip -9 -n -f "$out/short-connections.pcap"
}

#| `snap-96.pcap`, `snap-60.pcap` | server | frames cut at 96 bytes (behind the TCP header) and at 60 (within the options), the same exchange |
make_snap() {
    path <<<"$WAN"
    lose tcp sport 80 numgen inc mod 30 12
    capture server eth0 snap-96.pcap -s 96
    capture server eth0 snap-60.pcap -s 60
    fetch_all $S/24k.txt $S/64k.txt
    captured
    holds snap-96.pcap 'frame.len > 1500 && frame.cap_len == 96' 40
    holds snap-60.pcap 'frame.cap_len <= 60 && frame.len > 60' 40
}

#| `tso-server.pcap`, `tso-client.pcap` | both ends | 2 ms RTT, 200 kB with segmentation and checksums left to the device: super-frames and wrong checksums at the server, segments at the client; frames cut at 120 bytes |
make_tso() {
    path <<<"$LAN"
    offload server eth0 on
    capture server eth0 tso-server.pcap -s 120
    capture client eth0 tso-client.pcap -s 120
    fetch $S/200k.txt
    captured
    holds tso-server.pcap 'frame.len > 3000 && tcp.srcport == 80' 5
    holds tso-client.pcap 'frame.len > 1514' 0 0
}

#| `tso-loss.pcap` | server | the same with losses behind the segmentation: retransmissions of parts of super-frames |
make_tso_loss() {
    path <<<"$WAN"$'\n[link.backward]\nlose_every = 25'
    offload server eth0 on
    capture server eth0 tso-loss.pcap -s 120
    fetch $S/200k.txt
    captured
    holds tso-loss.pcap 'frame.len > 2000 && tcp.srcport == 80' 5
    holds tso-loss.pcap "$again" 3
}

#| `gro-upload.pcapng.zst` | server | a POST of 200 kB, coalesced by GRO before the capture sees it; zstd |
make_gro_upload() {
    path <<<"$WAN"
    at server ethtool -K eth0 gro on >/dev/null
    # Wait for more, as a busy machine would without being told.
    at server bash -c 'echo 2000000 >/sys/class/net/eth0/gro_flush_timeout; echo 20 >/sys/class/net/eth0/napi_defer_hard_irqs'
    capture_ng server gro-upload.pcapng eth0
    fetch -H 'Expect:' --data-binary "@$lab/www/200k.txt" $S/upload
    captured
    holds gro-upload.pcapng 'frame.len > 2000 && tcp.dstport == 80' 5
    holds gro-upload.pcapng 'http.response.code == 204' 1 1
    zstd -q -19 --rm -f "$out/gro-upload.pcapng"
}

#| `upload.pcap` | server | two POSTs, of 8 kB with `Expect: 100-continue` and of 64 kB without; the losses are the client's |
make_upload() {
    path <<<"$WAN"
    lose tcp dport 80 numgen inc mod 40 25
    capture server eth0 upload.pcap
    fetch -H 'Expect: 100-continue' --data-binary "@$lab/www/8k.txt" $S/upload
    fetch -H 'Expect:' --data-binary "@$lab/www/64k.txt" $S/upload
    captured
    holds upload.pcap 'http.response.code == 100' 1 1
    holds upload.pcap 'http.response.code == 204' 2 2
    holds upload.pcap "tcp.dstport == 80 && $again" 1
}

#| `starts-in-the-middle.pcap` | server | a connection of which the handshake and the first request came before the capture, and one that is whole |
make_starts_in_the_middle() {
    path <<<"$WAN"
    rm -f "$lab/ready" "$lab/go"
    helper client gated $server 80 "$lab/ready" "$lab/go" /8k.txt /1k.txt /24k.txt
    until [ -e "$lab/ready" ]; do sleep 0.05; done
    capture server eth0 starts-in-the-middle.pcap
    touch "$lab/go"
    sleep 0.5
    fetch $S/1k.txt
    captured
    holds starts-in-the-middle.pcap 'tcp.flags.syn == 1' 2 2
    holds starts-in-the-middle.pcap 'tcp.stream == 0 && http.request' 2 2
}

#| `ends-in-the-middle.pcap` | server | the capture stops after 25 frames of a response |
make_ends_in_the_middle() {
    path <<<"$WAN"
    capture server eth0 ends-in-the-middle.pcap -c 25
    fetch $S/64k.txt
    captured
    holds ends-in-the-middle.pcap 'tcp.flags.fin == 1' 0 0
    holds ends-in-the-middle.pcap 'frame' 25 25
}

#| `one-direction-server.pcap`, `one-direction-client.pcap` | server | only what the server sent, only what it got, of the same two connections; losses on the way |
make_one_direction() {
    path <<<"$WAN"
    lose tcp sport 80 numgen inc mod 20 12
    capture server eth0 one-direction-server.pcap src host $server
    capture server eth0 one-direction-client.pcap dst host $server
    fetch_all $S/8k.txt $S/24k.txt
    captured
    holds one-direction-server.pcap 'tcp.dstport == 80' 0 0
    holds one-direction-client.pcap 'tcp.srcport == 80' 0 0
}

#| `gap.pcap` | server | eleven frames of a response taken out of the capture (editcap), though the client acknowledges them |
make_gap() {
    path <<<"$WAN"
    capture server eth0 gap-whole.pcap
    fetch $S/64k.txt
    captured
    editcap -F pcap "$out/gap-whole.pcap" "$out/gap.pcap" 20-30
    rm "$out/gap-whole.pcap"
    holds gap.pcap 'tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment' 1
}

#| `port-8080.pcap` | server | HTTP on port 8080 |
make_port_8080() {
    path <<<"$WAN"
    capture server eth0 port-8080.pcap
    fetch_all http://$server:8080/1k.txt http://$server:8080/8k.txt
    captured
    holds port-8080.pcap 'tcp.dstport == 8080 && tcp.flags.syn == 1' 2 2
}

#| `odd-ports.pcap` | server | a server on port 49152 and a client on port 1025: who serves is seen by the handshake alone |
make_odd_ports() {
    path <<<"$WAN"
    capture server eth0 odd-ports.pcap
    fetch --local-port 1025 http://$server:49152/8k.txt
    captured
    holds odd-ports.pcap 'tcp.srcport == 1025 && tcp.flags.syn == 1' 1 1
}

#| `port-reuse.pcap` | server | the same four-tuple three times: after a reset, and after another |
make_port_reuse() {
    path <<<"$LAN"
    capture server eth0 port-reuse.pcap
    peer client same-port $server 80 /1k.txt 40000 3
    captured
    holds port-reuse.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.srcport == 40000' 3 3
}

#| `cooked-v1.pcap`, `cooked-v2.pcap` | server | Linux cooked captures, versions 1 and 2, of the same exchange (`-i any`) |
make_cooked() {
    path <<<"$WAN"
    capture server any cooked-v1.pcap -y LINUX_SLL 'not host 127.0.0.1'
    capture server any cooked-v2.pcap -y LINUX_SLL2 'not host 127.0.0.1'
    fetch_all $S/1k.txt $S/8k.txt
    captured
    holds cooked-v1.pcap 'sll && tcp && !ip.addr == 127.0.0.1' 20
    holds cooked-v2.pcap 'sll && tcp' 20
}

#| `router-any.pcap` | router | `-i any` where frames are forwarded: each is there twice, but those lost between; the capture itself missed some |
make_router_any() {
    path <<<"$WAN"
    lose tcp sport 80 numgen inc mod 12 8
    capture router any router-any.pcap -y LINUX_SLL2
    fetch $S/24k.txt
    captured
    holds router-any.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 2 2
}

#| `two-interfaces.pcapng` | router | both devices of the router as two interfaces of one file: each frame twice, but those lost between |
make_two_interfaces() {
    path <<<"$WAN"
    lose tcp sport 80 numgen inc mod 12 8
    capture_ng router two-interfaces.pcapng r1 r0
    fetch $S/24k.txt
    captured
    holds two-interfaces.pcapng 'frame.interface_id == 0 && tcp' 20
    holds two-interfaces.pcapng 'frame.interface_id == 1 && tcp' 20
}

#| `raw-ip.pcap` | server | a tun device: IP without a link's header |
make_raw_ip() {
    rm -f "$lab/ready"
    python3 "$here/peers.py" tun tunc tuns "$lab/ready" &
    helpers+=($!)
    until [ -e "$lab/ready" ]; do sleep 0.05; done
    ip link set tunc netns client
    ip link set tuns netns server
    at client ip addr add 203.0.113.1 peer 203.0.113.2 dev tunc
    at server ip addr add 203.0.113.2 peer 203.0.113.1 dev tuns
    at client ip link set tunc up
    at server ip link set tuns up
    capture server tuns raw-ip.pcap
    fetch_all http://203.0.113.2/8k.txt http://203.0.113.2/1k.txt
    captured
    holds raw-ip.pcap 'raw && tcp' 20
}

#| `loopback.pcap` | the host | Linux's loopback device: Ethernet without addresses, segments of up to 64 kB |
make_loopback() {
    capture server lo loopback.pcap
    at server curl -sS -o /dev/null http://127.0.0.1/64k.txt -o /dev/null http://127.0.0.1/1k.txt
    captured
    holds loopback.pcap 'tcp.len > 20000' 1
}

#| `ecn.pcap` | server | ECN agreed (`tcp_ecn=1`) over a 4 Mb/s link with CoDel that marks: CE, ECE, CWR, no loss |
make_ecn() {
    path <<<$'delay_ms = 10\nrate_mbit = 4\naqm = "codel"\ncodel_ecn = true\ncodel_interval_ms = 30'
    kernel client net.ipv4.tcp_ecn=1
    kernel server net.ipv4.tcp_ecn=1
    capture server eth0 ecn.pcap -s 120
    fetch $S/200k.txt
    captured
    holds ecn.pcap 'tcp.flags.ece == 1 && tcp.flags.syn == 0' 1
    holds ecn.pcap 'tcp.flags.cwr == 1 && tcp.flags.syn == 0' 1
}

#| `no-options.pcap` | server | neither timestamps nor SACK nor window scale (sysctl of the client), losses on the way: NewReno |
make_no_options() {
    path <<<"$WAN"$'\n[link.backward]\nlose_frames = [9, 11, 30]'
    kernel client net.ipv4.tcp_timestamps=0
    kernel client net.ipv4.tcp_sack=0
    kernel client net.ipv4.tcp_window_scaling=0
    capture server eth0 no-options.pcap
    fetch $S/64k.txt
    captured
    holds no-options.pcap 'tcp.options.timestamp.tsval || tcp.options.sack_perm || tcp.options.wscale' 0 0
    holds no-options.pcap "$again" 3
}

#| `path-mtu.pcap` | server | a path of 1,000 bytes that says so by ICMP: the first segments again, smaller |
make_path_mtu() {
    path <<<"$WAN"
    # The client's MSS option must not tell: only the router knows.
    at router ip link set r0 mtu 1000
    capture server eth0 path-mtu.pcap
    fetch $S/24k.txt
    captured
    holds path-mtu.pcap 'icmp.type == 3 && icmp.code == 4' 1
    holds path-mtu.pcap '!icmp && tcp.len == 948' 10
}

#| `fragments.pcap` | client | segments without DF (`ip_no_pmtu_disc=1`), cut to fragments by a router with an MTU of 800; a protocol of its own on port 7000 |
make_fragments() {
    path <<<"$WAN"
    # A socket takes it when it is made: nginx's was before.
    kernel server net.ipv4.ip_no_pmtu_disc=1
    helper server talker 7000
    at router ip link set r0 mtu 800
    capture client eth0 fragments.pcap
    peer client turns $server 7000 40 100/8000/0 300/5000/50
    captured
    holds fragments.pcap 'ip.flags.mf == 1' 4
    holds fragments.pcap 'tcp.srcport == 7000 && tcp.len > 0 && ip.fragment' 4
}

#| `keep-alive-probes.pcap` | server | an idle connection of 3.5 s with TCP keep-alive probes each second, then a request |
make_keep_alive_probes() {
    path <<<"$WAN"
    capture server eth0 keep-alive-probes.pcap
    peer client probes $server 80 /1k.txt 3500
    captured
    holds keep-alive-probes.pcap 'tcp.analysis.keep_alive' 2
    holds keep-alive-probes.pcap 'tcp.analysis.keep_alive_ack' 2
}

#| `slow-application.pcap` | server | no HTTP: five turns of a protocol of its own on port 7000, whose server thinks 0, 300, 20, 700 and 0 ms |
make_slow_application() {
    path <<<"$WAN"
    helper server talker 7000
    capture server eth0 slow-application.pcap
    peer client turns $server 7000 40 100/5000/0 300/20000/300 50/100/20 3000/2000/700 0/30000/0
    captured
    holds slow-application.pcap 'tcp.dstport == 7000 && tcp.len > 0' 5
}

#| `behind-a-proxy.pcap` | server | nginx answers three requests by asking another server (port 8000): the captured host is server and client |
make_behind_a_proxy() {
    path <<<"$WAN"
    at router python3 -m http.server --directory "$lab/www" 8000 >/dev/null 2>&1 &
    helpers+=($!)
    sleep 0.7
    capture server eth0 behind-a-proxy.pcap
    fetch_all $S/behind/1k.txt $S/behind/8k.txt $S/behind/1k.txt
    captured
    holds behind-a-proxy.pcap 'tcp.dstport == 8000 && tcp.flags.syn == 1 && tcp.flags.ack == 0' 3 3
    holds behind-a-proxy.pcap 'tcp.dstport == 80 && tcp.flags.syn == 1' 3 3
}

#| `http-kinds.pcap` | server | on one connection: HEAD, 200, 206 of a range, 304, 404, 405 |
make_http_kinds() {
    path <<<"$WAN"
    local modified
    modified=$(date -u -r "$lab/www/8k.txt" '+%a, %d %b %Y %T GMT')
    capture server eth0 http-kinds.pcap
    at client curl -sS -I $S/8k.txt --next -sS -o /dev/null $S/1k.txt \
        --next -sS -r 1000-4999 -o /dev/null $S/8k.txt \
        --next -sS -o /dev/null -H "If-Modified-Since: $modified" $S/8k.txt \
        --next -sS -o /dev/null $S/none.txt --next -sS -o /dev/null -X POST -d x $S/1k.txt >/dev/null
    captured
    for code in 206 304 404 405; do holds http-kinds.pcap "http.response.code == $code" 1 1; done
    holds http-kinds.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 1 1
}

#| `mixed.pcap` | server | beside two connections: ping, UDP to a closed port and its ICMP, ARP |
make_mixed() {
    path <<<"$LAN"
    capture server eth0 mixed.pcap
    peer client ping $server 2
    fetch $S/1k.txt
    at client bash -c "echo hello >/dev/udp/$server/9"
    at server ip neigh del 192.0.2.1 dev eth0
    fetch $S/8k.txt
    captured
    holds mixed.pcap 'udp && !icmp' 1
    holds mixed.pcap 'icmp.type == 0' 2 2
    holds mixed.pcap arp 2
}

#| `syn-flood.pcap` | server | eighty SYNs from 203.0.113.0/24 that nobody completes, their SYN-ACKs, and one real connection amid |
make_syn_flood() {
    path <<<"$LAN"
    at router ip route add 203.0.113.0/24 via 198.51.100.2
    at client ip route add blackhole 203.0.113.0/24 2>/dev/null || true
    capture server eth0 syn-flood.pcap
    peer client flood 203.0.113 $server 80 80 &
    local flood=$!
    sleep 0.1
    fetch $S/1k.txt
    wait $flood
    captured
    holds syn-flood.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 81 81
}

#| `bbr.pcap` | server | 200 kB by BBR over 5 Mb/s: paced segments; frames cut at 120 bytes |
make_bbr() {
    path <<<$'delay_ms = 20\nrate_mbit = 5'
    server_route bbr
    capture server eth0 bbr.pcap -s 120
    fetch $S/200k.txt
    captured
    holds bbr.pcap 'tcp.srcport == 80 && tcp.len > 0' 100
}

#| `slow-link.pcap` | server | 2 Mb/s with a queue of 12 frames: slow start overflows it, many losses in one window, congestion decides; frames cut at 120 bytes |
make_slow_link() {
    path <<<$'delay_ms = 30\nrate_mbit = 2\nqueue_packets = 12'
    capture server eth0 slow-link.pcap -s 120
    fetch $S/200k.txt
    captured
    holds slow-link.pcap "$again" 2
}

#| `many-causes.pcap` | server | eight connections at once, slow for reasons of their own: losses (every 30th frame to the client), an application that thinks 700 ms, a reader that does not read, a small window; frames cut at 120 bytes |
make_many_causes() {
    path <<<"$WAN"$'\n[link.backward]\nlose_every = 30'
    helper server talker 7000
    capture server eth0 many-causes.pcap -s 120
    local -a clients=()
    for _ in 1 2 3 4; do fetch $S/24k.txt & clients+=($!); done
    fetch https://$server/64k.txt & clients+=($!)
    peer client turns $server 7000 40 100/5000/20 300/20000/700 50/3000/20 & clients+=($!)
    peer client slow $server 80 /24k.txt 8192 3000 60 600 & clients+=($!)
    peer client small $server 80 /24k.txt 4096 & clients+=($!)
    for one in "${clients[@]}"; do wait "$one"; done
    captured
    holds many-causes.pcap 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 8
    holds many-causes.pcap "$again" 3
    holds many-causes.pcap 'tcp.analysis.zero_window' 1
}

#| `rotated-1.pcap`, `rotated-2.pcap`, `rotated-3.pcap` | server | one capture cut into three files of 30 frames, connections crossing |
make_rotated() {
    path <<<"$WAN"
    capture server eth0 rotated.pcap
    fetch_all $S/24k.txt $S/24k.txt $S/1k.txt
    captured
    local total
    total=$(tshark -n -r "$out/rotated.pcap" 2>/dev/null | wc -l)
    editcap -r -F pcap "$out/rotated.pcap" "$out/rotated-1.pcap" 1-30
    editcap -r -F pcap "$out/rotated.pcap" "$out/rotated-2.pcap" 31-60
    editcap -r -F pcap "$out/rotated.pcap" "$out/rotated-3.pcap" "61-$total"
    rm "$out/rotated.pcap"
    holds rotated-2.pcap tcp 30 30
    holds rotated-3.pcap tcp 5
}

# ---- all of them --------------------------------------------------------------------------------

one() (
    scenario=$1
    declare -a captures=() pcapng=() helpers=()
    relay='' nginx=''
    # Whatever fails, the namespaces go.
    trap 'lab_down' EXIT
    lab_up
    "make_$scenario"
)

make_content
all=
if [ ${#wanted[@]} -eq 0 ]; then
    all=1
    mapfile -t wanted < <(sed -n 's/^make_\([a-z0-9_]*\)() {$/\1/p' "$self")
fi
failed=()
for name in "${wanted[@]}"; do
    name=${name//-/_}
    declare -F "make_$name" >/dev/null || { echo "no scenario $name" >&2; exit 2; }
    made=
    for try in 1 2 3; do
        # Chance may leave out what a capture is for: then another seed.
        # In the background, since `set -e` does not hold within a condition.
        seed=$try one "$name" &
        if wait $!; then made=1; break; fi
    done
    if [ -n "$made" ]; then echo "made $name"; else failed+=("$name"); fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "not made: ${failed[*]}" >&2
    exit 1
fi

# What is said about the captures goes with them: the table at the README's end, tshark's counters.
if [ "$out" = "$here" ]; then
    if [ -n "$all" ]; then
        sed -i "/^|---|---|---|\$/q" "$here/README.md"
        sed -n 's/^#| /| /p' "$self" >>"$here/README.md"
    fi
    python3 "$here/expected.py" --write
fi
