#!/usr/bin/env python3
"""tshark's counters for every direction of every TCP stream, as a table.

    expected.py [FILE...]        prints the table of these captures
    expected.py --write          writes expected.tsv beside this script, for the captures there

A FILE may be several joined by `+`, which are merged by time first. One row is one direction of a
stream, the client's first; the row of stream `-` counts the frames that are no TCP (ICMP errors that
quote TCP among them), so that the rows of a file add up to its frames. The client is who sent the SYN,
or got the SYN-ACK, or, without a handshake, who sent the stream's first frame.
"""

import glob
import os
import subprocess
import sys
import tempfile

# The column's name, and the field whose presence in a frame counts for it.
COUNTERS = [
    ("retransmissions", "tcp.analysis.retransmission"),
    ("fast", "tcp.analysis.fast_retransmission"),
    ("spurious", "tcp.analysis.spurious_retransmission"),
    ("rto", "tcp.analysis.rto"),
    ("out_of_order", "tcp.analysis.out_of_order"),
    ("dup_acks", "tcp.analysis.duplicate_ack"),
    ("sack", "tcp.options.sack_le"),
    ("dsack", "tcp.options.sack.dsack"),
    ("zero_window", "tcp.analysis.zero_window"),
    ("zero_window_probe", "tcp.analysis.zero_window_probe"),
    ("window_full", "tcp.analysis.window_full"),
    ("window_update", "tcp.analysis.window_update"),
    ("lost_segment", "tcp.analysis.lost_segment"),
    ("ack_lost_segment", "tcp.analysis.ack_lost_segment"),
    ("keep_alive", "tcp.analysis.keep_alive"),
    ("keep_alive_ack", "tcp.analysis.keep_alive_ack"),
    ("reused_ports", "tcp.analysis.reused_ports"),
]
FLAGS = [("syn", 0x02), ("fin", 0x01), ("rst", 0x04)]
FIELDS = ["tcp.stream", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport",
          "tcp.len", "tcp.flags", "icmp", "icmpv6"] + [field for _, field in COUNTERS]
COLUMNS = ["file", "stream", "from", "to", "frames", "bytes"] + [n for n, _ in FLAGS] + [n for n, _ in COUNTERS]
SUFFIXES = (".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz", ".pcap.zst", ".pcapng.zst")
# Merged as well, as one capture cut into several files.
MERGED = ["rotated-1.pcap+rotated-2.pcap+rotated-3.pcap"]


def run(arguments, home):
    """Output of a tool, without the preferences of whoever runs it; what it read before an error counts."""
    environment = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "LC_ALL": "C", "TZ": "UTC"}
    done = subprocess.run(arguments, capture_output=True, env=environment, check=False)
    if done.returncode:
        print(f"{' '.join(arguments[:1] + arguments[-1:])}: {done.stderr.decode().strip()}", file=sys.stderr)
    return done.stdout.decode()


def frames_of(path, home):
    """One list of FIELDS a frame."""
    if "+" in path:
        merged = os.path.join(home, "merged.pcapng")
        run(["mergecap", "-w", merged, *path.split("+")], home)
        path = merged
    arguments = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "occurrence=f", "-E", "separator=/t",
                 # Errors of ICMP quote a segment that is not sent here.
                 "-o", "tcp.desegment_tcp_streams:FALSE"]
    for field in FIELDS:
        arguments += ["-e", field]
    for line in run(arguments, home).splitlines():
        yield line.split("\t")


class Way:
    """One direction of a stream."""

    def __init__(self):
        self.frames = self.bytes = 0
        self.counts = dict.fromkeys([name for name, _ in FLAGS + COUNTERS], 0)


class Stream:
    def __init__(self):
        self.ways = {}
        self.client = None

    def add(self, frame):
        ends = tuple(host + ":" + frame[port] if ":" not in host else f"[{host}]:{frame[port]}"
                     for host, port in ((frame[1] or frame[3], 5), (frame[2] or frame[4], 6)))
        flags = int(frame[8] or "0", 0)
        if flags & 0x02 and self.client is None:
            self.client = ends[1] if flags & 0x10 else ends[0]
        way = self.ways.setdefault(ends, Way())
        way.frames += 1
        way.bytes += int(frame[7] or 0)
        for name, bit in FLAGS:
            way.counts[name] += bool(flags & bit)
        for (name, _), value in zip(COUNTERS, frame[11:]):
            way.counts[name] += value != ""

    def rows(self):
        first = next(iter(self.ways))
        client = self.client if self.client in first else first[0]
        server = first[1] if client == first[0] else first[0]
        for ends in ((client, server), (server, client)):
            way = self.ways.get(ends, Way())
            yield [*ends, way.frames, way.bytes, *way.counts.values()]


def table(path, name, home):
    streams, others = {}, 0
    for frame in frames_of(path, home):
        # A later fragment, or a frame cut before the ports, belongs to no stream for tshark.
        if frame[0] == "" or frame[9] or frame[10]:
            others += 1
        else:
            streams.setdefault(int(frame[0]), Stream()).add(frame)
    for number, stream in sorted(streams.items()):
        for row in stream.rows():
            yield [name, number, *row]
    yield [name, "-", "-", "-", others, 0] + [0] * (len(COLUMNS) - 6)


def write(files, names, out):
    version = subprocess.run(["tshark", "--version"], capture_output=True, check=True).stdout.decode()
    print("# by", version.split(" (")[0].replace("TShark", "tshark"), version.split("Wireshark)")[1].split()[0].rstrip("."), file=out)
    print("# retransmissions counts the fast and the spurious ones too; rto those frames for which tshark", file=out)
    print("# gives the time since the first sending, whatever repaired the loss", file=out)
    print("\t".join(COLUMNS), file=out)
    with tempfile.TemporaryDirectory() as home:
        for path, name in zip(files, names):
            for row in table(path, name, home):
                print("\t".join(str(value) for value in row), file=out)


def main():
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
    elif arguments == ["--write"]:
        here = os.path.dirname(os.path.abspath(__file__))
        names = sorted(os.path.basename(f) for f in glob.glob(os.path.join(here, "*")) if f.endswith(SUFFIXES))
        names += MERGED
        files = ["+".join(os.path.join(here, part) for part in name.split("+")) for name in names]
        with open(os.path.join(here, "expected.tsv"), "w") as out:
            write(files, names, out)
    else:
        for path in arguments:
            for part in path.split("+"):
                if not os.path.exists(part):
                    raise SystemExit(f"{part}: no such file")
        write(arguments, ["+".join(os.path.basename(p) for p in f.split("+")) for f in arguments], sys.stdout)


if __name__ == "__main__":
    main()
