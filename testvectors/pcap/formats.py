#!/usr/bin/env python3
"""Captures that no common tool writes: one exchange in many formats, and broken files.

    formats.py write [DIR]       writes DIR/formats and DIR/broken; the same bytes each time
    formats.py strip-host FILE   takes from a pcapng file what tells which machine made it

The readers' expected answers are written beside the files, as formats/expected.tsv and
broken/expected.tsv. Only the standard library is used.
"""

import gzip
import os
import struct
import sys
import zlib

SHB, IDB, PB, SPB, NRB, ISB, EPB, CUSTOM = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6, 0xBAD
ETHERNET, NULL, RAW, LOOP, SLL, IPV4, IPV6, SLL2 = 1, 0, 101, 108, 113, 228, 229, 276

# ---- frames -------------------------------------------------------------------------------------

CLIENT, SERVER = bytes([198, 51, 100, 2]), bytes([192, 0, 2, 2])
CLIENT6, SERVER6 = (bytes.fromhex(f"20010db8000{n}0000000000000000000{2}") for n in (1, 2))
CLIENT_MAC, SERVER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000004")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(source, target, ports, seq, ack, flags, text=b"", options=b""):
    head = struct.pack("!HHIIBBHHH", *ports, seq, ack, (20 + len(options)) // 4 << 4, flags, 64240, 0, 0)
    segment = head + options + text
    length = struct.pack("!IHBB", len(segment), 0, 0, 6) if len(source) == 16 else struct.pack("!BBH", 0, 6, len(segment))
    total = checksum(source + target + length + segment)
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def ipv4(source, target, payload, protocol=6, fragment=0x4000, identity=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identity, fragment, 64, protocol, 0, source, target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, target, payload, protocol=6):
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + source + target + payload


def exchange(version=4, port=50000):
    """A connection of one small request and response: (from the server, IP packet) each."""
    ends = (CLIENT, SERVER) if version == 4 else (CLIENT6, SERVER6)
    wrap = ipv4 if version == 4 else ipv6
    request = b"GET / HTTP/1.1\r\nHost: server.example\r\n\r\n"
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"
    mss = bytes([2, 4, 5, 180])
    c, s = 1000, 9000
    c2, s2 = c + 1 + len(request), s + 1 + len(response)
    steps = [
        (False, c, 0, 0x02, b"", mss), (True, s, c + 1, 0x12, b"", mss), (False, c + 1, s + 1, 0x10, b"", b""),
        (False, c + 1, s + 1, 0x18, request, b""), (True, s + 1, c2, 0x10, b"", b""),
        (True, s + 1, c2, 0x18, response, b""), (False, c2, s2, 0x11, b"", b""),
        (True, s2, c2 + 1, 0x11, b"", b""), (False, c2 + 1, s2 + 1, 0x10, b"", b""),
    ]
    packets = []
    for back, seq, ack, flags, text, options in steps:
        source, target = ends[::-1] if back else ends
        ports = (80, port) if back else (port, 80)
        packets.append((back, wrap(source, target, tcp(source, target, ports, seq, ack, flags, text, options))))
    return packets


def ethernet(back, packet, tags=b""):
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    ends = CLIENT_MAC + SERVER_MAC if back else SERVER_MAC + CLIENT_MAC
    return ends + tags + struct.pack("!H", kind) + packet


FRAMES = [ethernet(back, packet) for back, packet in exchange()]
# In units of 1/64 s, which microseconds, nanoseconds and 2^-20 s all express without a rest.
START_64THS = 1_700_000_000 * 64
TICKS_64THS = [START_64THS + n for n in (0, 1, 2, 3, 5, 40, 41, 45, 111)]
TIMES_NS = [t * 15_625_000 for t in TICKS_64THS]

# ---- writing formats ----------------------------------------------------------------------------


def pcap_head(order="<", magic=0xA1B2C3D4, snap=262144, link=ETHERNET, version=(2, 4)):
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snap, link)


def pcap_record(time_ns, frame, order="<", nano=False, captured=None, original=None):
    part = time_ns % 10**9 if nano else time_ns % 10**9 // 1000
    captured = len(frame) if captured is None else captured
    original = captured if original is None else original
    return struct.pack(order + "IIII", time_ns // 10**9, part, captured, original) + frame


def pcap(frames=None, times=None, order="<", nano=False, link=ETHERNET, **head):
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    records = zip(times or TIMES_NS, frames or FRAMES)
    return pcap_head(order, magic, link=link, **head) + b"".join(pcap_record(t, f, order, nano) for t, f in records)


def padded(data):
    return data + b"\0" * (-len(data) % 4)


def block(kind, body, order="<", length=None, trailer=None):
    total = 12 + len(padded(body))
    length = total if length is None else length
    return struct.pack(order + "II", kind, length) + padded(body) + struct.pack(order + "I", length if trailer is None else trailer)


def options(order, *pairs):
    if not pairs:
        return b""
    out = b"".join(struct.pack(order + "HH", code, len(value)) + padded(value) for code, value in pairs)
    return out + struct.pack(order + "HH", 0, 0)


def shb(order="<", major=1, magic=0x1A2B3C4D):
    return block(SHB, struct.pack(order + "IHHq", magic, major, 0, -1), order)


def idb(order="<", resolution=None, offset=None, link=ETHERNET, snap=0, name=None):
    pairs = []
    if name is not None:
        pairs.append((2, name))
    if resolution is not None:
        pairs.append((9, bytes([resolution])))
    if offset is not None:
        pairs.append((14, struct.pack(order + "q", offset)))
    return block(IDB, struct.pack(order + "HHI", link, 0, snap) + options(order, *pairs), order)


def ticks_of(time_64ths, resolution, offset=0):
    """A time in units of a resolution, exactly."""
    per_second = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    ticks, rest = divmod((time_64ths - offset * 64) * per_second, 64)
    assert rest == 0 and ticks >= 0
    return ticks


def epb(frame, ticks, order="<", interface=0, captured=None, pairs=()):
    captured = len(frame) if captured is None else captured
    head = struct.pack(order + "IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, captured, captured)
    return block(EPB, head + padded(frame) + options(order, *pairs), order)


def pcapng(resolution=None, offset=None, order="<"):
    code = 6 if resolution is None else resolution
    packets = (epb(f, ticks_of(t, code, offset or 0), order) for t, f in zip(TICKS_64THS, FRAMES))
    return shb(order) + idb(order, resolution, offset) + b"".join(packets)


# ---- the same exchange in many formats ----------------------------------------------------------


def write_formats(folder):
    rows, same = [], TIMES_NS

    def put(name, data, what, times=same, link="ethernet"):
        with open(os.path.join(folder, name), "wb") as out:
            out.write(data)
        rows.append((name, str(len(times)), link, ",".join("-" if t is None else str(t) for t in times), what))

    put("us-le.pcap", pcap(), "pcap, microseconds, little-endian")
    put("us-be.pcap", pcap(order=">"), "pcap, microseconds, big-endian")
    put("ns-le.pcap", pcap(nano=True), "pcap, nanoseconds, little-endian")
    put("ns-be.pcap", pcap(order=">", nano=True), "pcap, nanoseconds, big-endian")
    put("us-fcs.pcap", pcap_head(link=0x24000001) + b"".join(
        pcap_record(t, f.ljust(60, b"\0") + struct.pack("<I", zlib.crc32(f.ljust(60, b"\0")))) for t, f in zip(same, FRAMES)),
        "the upper bits of the link type say that each frame ends with an FCS of 4 bytes; short frames have Ethernet's padding")
    put("default.pcapng", pcapng(), "pcapng without if_tsresol: microseconds")
    put("1e-6.pcapng", pcapng(6), "if_tsresol 10^-6")
    put("1e-9.pcapng", pcapng(9), "if_tsresol 10^-9")
    put("1e-9-be.pcapng", pcapng(9, order=">"), "the same, big-endian")
    # Picoseconds since 1970 are beyond 64 bits.
    put("1e-12.pcapng", pcapng(12, 1_699_990_000), "if_tsresol 10^-12, from an offset: finer than a nanosecond")
    put("2e-20.pcapng", pcapng(0x80 | 20), "if_tsresol 2^-20")
    put("2e-20-be.pcapng", pcapng(0x80 | 20, order=">"), "the same, big-endian")
    put("2e-6.pcapng", pcapng(0x80 | 6), "if_tsresol 2^-6: 1/64 s, the coarsest that expresses these times")
    put("offset.pcapng", pcapng(6, 1_699_999_000), "if_tsoffset 1,699,999,000 s, 10^-6")
    put("offset-2e-20.pcapng", pcapng(0x80 | 20, 1_700_000_000), "if_tsoffset to the first frame, 2^-20")
    put("offset-negative.pcapng", pcapng(9, -1_000), "if_tsoffset -1,000 s, 10^-9")

    # Ticks that no nanosecond expresses: rounded down, in integers.
    odd = [(START_64THS << 14) + n for n in (0, 1, 2, 3, 1_000_001, 1_000_003, 1_048_575, 1_048_576, 9_999_999)]
    put("2e-20-odd.pcapng", shb() + idb(resolution=0x94) + b"".join(epb(f, t) for t, f in zip(odd, FRAMES)),
        "2^-20 with ticks between nanoseconds: rounded down", [t * 10**9 >> 20 for t in odd])
    fine = [(t - same[0]) * 1000 + 111 * n for n, t in enumerate(same)]
    put("1e-12-odd.pcapng", shb() + idb(resolution=12, offset=1_700_000_000) + b"".join(epb(f, t) for t, f in zip(fine, FRAMES)),
        "10^-12 with picoseconds: rounded down", same)

    # Interfaces of one file that differ in everything; sections that differ in byte order.
    kinds = [(9, None), (0x94, 1_600_000_000), (None, None)]
    mixed = shb() + b"".join(idb("<", r, o, name=b"if%d" % n) for n, (r, o) in enumerate(kinds))
    for n, (t, f) in enumerate(zip(TICKS_64THS, FRAMES)):
        r, o = kinds[n % 3]
        mixed += epb(f, ticks_of(t, 6 if r is None else r, o or 0), interface=n % 3)
    put("three-interfaces.pcapng", mixed, "three interfaces by turns: 10^-9; 2^-20 from an offset; neither option")
    half = b""
    for order, some in (("<", range(0, 4)), (">", range(4, 9))):
        half += shb(order) + idb(order, 9 if order == "<" else 6)
        half += b"".join(epb(FRAMES[n], ticks_of(TICKS_64THS[n], 9 if order == "<" else 6), order) for n in some)
    put("two-sections.pcapng", half, "two sections: little-endian with 10^-9, then big-endian with 10^-6, whose interface is number 0 again")

    # Blocks that a reader passes over, and options at packets.
    other = shb() + block(CUSTOM, struct.pack("<I", 32473) + b"somebody's own") + idb(resolution=9)
    other += block(NRB, struct.pack("<HH", 1, 19) + padded(SERVER + b"server.example\0") + struct.pack("<HH", 0, 0))
    for n, (t, f) in enumerate(zip(TICKS_64THS, FRAMES)):
        other += epb(f, ticks_of(t, 9), pairs=((1, b"comment %d" % n), (2, struct.pack("<I", 1 + n % 2))))
        other += block(0x7FFF0000 + n, b"of a kind that nobody knows")
    other += block(ISB, struct.pack("<III", 0, 0, 0) + options("<", (4, struct.pack("<Q", 9))))
    put("other-blocks.pcapng", other, "names, statistics, custom and unknown blocks between; comments and flags at packets")
    old = shb() + idb(resolution=6)
    for t, f in zip(TICKS_64THS, FRAMES):
        ticks = ticks_of(t, 6)
        old += block(PB, struct.pack("<HHIIII", 0, 0xFFFF, ticks >> 32, ticks & 0xFFFFFFFF, len(f), len(f)) + padded(f))
    put("packet-blocks.pcapng", old, "obsolete Packet Blocks")
    simple = shb() + idb(snap=60) + b"".join(block(SPB, struct.pack("<I", len(f)) + padded(f[:60])) for f in FRAMES)
    put("simple-blocks.pcapng", simple, "Simple Packet Blocks: no time at all, cut at the interface's 60 bytes", [None] * 9)

    # Link types. AF_INET6 is another number on each BSD.
    packets4, packets6 = exchange(), exchange(6, 50006)

    def link(name, code, wrap, what, packets=packets4, order="<"):
        frames = [wrap(back, packet) for back, packet in packets]
        put(name, pcap(frames, order=order, link=code), what, link=what.split(":")[0])

    link("null-le.pcap", NULL, lambda _, p: struct.pack("<I", 2) + p, "null: loopback of the BSDs, family little-endian")
    link("null-be.pcap", NULL, lambda _, p: struct.pack(">I", 2) + p, "null: the same, big-endian, file and family", order=">")
    for family in (24, 28, 30):
        link(f"null-ipv6-{family}.pcap", NULL, lambda _, p: struct.pack("<I", family) + p, f"null: IPv6 as family {family}", packets6)
    link("loop.pcap", LOOP, lambda _, p: struct.pack(">I", 2) + p, "loop: loopback of OpenBSD, family in network order")
    link("raw.pcap", RAW, lambda _, p: p, "raw: IPv4")
    link("raw-ipv6.pcap", RAW, lambda _, p: p, "raw: IPv6", packets6)
    link("ipv4.pcap", IPV4, lambda _, p: p, "ipv4: link type 228")
    link("ipv6.pcap", IPV6, lambda _, p: p, "ipv6: link type 229", packets6)
    link("sll.pcap", SLL, lambda back, p: struct.pack("!HHH8sH", 4 if back else 0, 1, 6, CLIENT_MAC, 0x800) + p, "sll: Linux cooked, version 1")
    link("sll2.pcap", SLL2, lambda back, p: struct.pack("!HHIHBB8s", 0x800, 0, 3, 1, 4 if back else 0, 6, CLIENT_MAC) + p, "sll2: Linux cooked, version 2")
    link("sll-vlan.pcap", SLL, lambda back, p: struct.pack("!HHH8sHHH", 4 if back else 0, 1, 6, CLIENT_MAC, 0x8100, 7, 0x800) + p, "sll: version 1 with a VLAN tag behind it")
    tags = struct.pack("!HHHH", 0x88A8, 100, 0x8100, 7)
    link("qinq.pcap", ETHERNET, lambda back, p: ethernet(back, p, tags), "ethernet: 802.1ad around 802.1Q")
    tags9100 = struct.pack("!HHHH", 0x9100, 100, 0x8100, 7)
    link("qinq-9100.pcap", ETHERNET, lambda back, p: ethernet(back, p, tags9100), "ethernet: the old outer tag 0x9100")
    put("us-le.pcap.gz", gzip.compress(pcap(), 9, mtime=0), "us-le.pcap, gzip")
    both = pcap()
    put("two-members.pcap.gz", gzip.compress(both[:500], 9, mtime=0) + gzip.compress(both[500:], 9, mtime=0),
        "the same as two gzip members, cut within a record")
    # A zstd frame of one raw block: no compressor is needed to write it.
    data = pcapng(9)
    frame = struct.pack("<I", 0xFD2FB528) + bytes([0x60]) + struct.pack("<H", len(data) - 256)
    put("1e-9.pcapng.zst", frame + struct.pack("<I", len(data) << 3 | 1)[:3] + data, "1e-9.pcapng, zstd")
    write_table(folder, "file\tframes\tlink\ttimes_ns\twhat", rows)


# ---- broken files -------------------------------------------------------------------------------


def write_broken(folder):
    rows = []

    def put(name, data, frames, end, what):
        with open(os.path.join(folder, name), "wb") as out:
            out.write(data)
        rows.append((name, "-" if frames is None else str(frames), end, what))

    whole, first3 = pcap(), pcap_head() + b"".join(pcap_record(t, f) for t, f in zip(TIMES_NS[:3], FRAMES))
    rest = b"".join(pcap_record(t, f) for t, f in zip(TIMES_NS[3:], FRAMES[3:]))
    put("empty.pcap", b"", 0, "error", "no byte")
    put("three-bytes.pcap", whole[:3], 0, "error", "less than a magic number")
    put("cut-in-header.pcap", whole[:17], 0, "error", "cut in the file's header")
    put("no-frames.pcap", pcap_head(), 0, "ok", "a header and no frame")
    put("cut-in-record-header.pcap", first3 + rest[:9], 3, "error", "cut in the fourth record's header")
    put("cut-in-record.pcap", first3 + rest[:40], 3, "error", "cut in the fourth record's bytes")
    put("text.pcap", b"This is no capture. It is a sentence, and then another one.\n" * 4, 0, "error", "text")
    put("elf.pcap", b"\x7fELF\x02\x01\x01" + bytes(200), 0, "error", "the beginning of a program")
    put("zeros.pcap", bytes(300), 0, "error", "zeros only")
    put("length-absurd.pcap", first3 + struct.pack("<IIII", 1_700_000_003, 0, 0xFFFFFFFF, 0xFFFFFFFF) + rest, 3, "error", "a record of 4 GB")
    put("length-signed.pcap", first3 + struct.pack("<IIII", 1_700_000_003, 0, 0x80000000, 60) + rest, 3, "error", "a record of 2 GB")
    put("longer-than-snap.pcap", pcap_head(snap=64) + whole[24:], 9, "ok", "records longer than the snap length that the header says: common, and readable")
    put("captured-beyond-original.pcap", pcap_head() + pcap_record(TIMES_NS[0], FRAMES[0], original=20) + first3[24:], 4, "ok", "a record whose captured length is greater than its original one")
    put("nothing-captured.pcap", pcap_head() + pcap_record(TIMES_NS[0], b"", original=60) + first3[24:], 4, "ok", "a record of which no byte was kept")
    put("link-unknown.pcap", pcap(link=147), 9, "link", "link type 147, for private use")
    put("link-absurd.pcap", pcap(link=0xFFFF), 9, "link", "link type 65535")
    put("version.pcap", pcap_head(version=(9, 9)) + whole[24:], None, "any", "version 9.9: an error, or read as any other")
    back = [TIMES_NS[n] for n in (0, 1, 2, 6, 3, 4, 5, 7, 8)]
    put("clock-backwards.pcap", pcap(times=back), 9, "clock", "the fourth frame is later than the next three: a clock that was set")
    put("clock-far-back.pcap", pcap(times=TIMES_NS[:4] + [t - 10**9 * 86400 * 365 for t in TIMES_NS[4:]]), 9, "clock", "a year back in the middle")
    put("clock-ends.pcap", pcap_head() + b"".join(
        struct.pack("<IIII", s, u, len(f), len(f)) + f for (s, u), f in zip([(0, 0), (0xFFFFFFFF, 999_999), (0, 1), (1, 0xFFFFFFFF)], FRAMES)),
        4, "clock", "the first and the last second of the format, and microseconds beyond a second")
    put("records-of-nothing.pcap", pcap_head() + bytes(16 * 40), 40, "ok", "forty records without a byte at time 0: what a hole of zeros in a file reads as")

    packed = gzip.compress(whole, 9, mtime=0)
    put("gzip-cut.pcap.gz", packed[: len(packed) * 2 // 3], None, "error", "gzip, cut: the frames before the cut may be read")
    put("gzip-checksum.pcap.gz", packed[:-8] + bytes(8), None, "error", "gzip whose checksum and length are wrong")
    put("gzip-text.gz", gzip.compress(b"no capture either\n" * 9, 9, mtime=0), 0, "error", "text in gzip")
    put("gzip-twice.pcap.gz", gzip.compress(packed, 9, mtime=0), 0, "error", "gzip in gzip")
    put("gzip-rest.pcap.gz", packed + b"and something behind it", None, "any", "bytes behind the gzip member: all nine frames, then an error or nothing")
    put("zstd-cut.pcapng.zst", struct.pack("<I", 0xFD2FB528) + b"\x60\x00\x01\x05", 0, "error", "zstd, cut in the first block's header")

    section, good = shb(), epb(FRAMES[0], ticks_of(TICKS_64THS[0], 6))
    front = section + idb() + good

    def ng(name, data, frames, end, what):
        put(f"ng-{name}.pcapng", data, frames, end, what)

    ng("no-interface", section + good, 0, "error", "a packet before any interface")
    ng("interface-beyond", front + epb(FRAMES[1], 0, interface=7) + good, 1, "error", "a packet of interface 7 where there is one")
    ng("length-zero", front + struct.pack("<II", EPB, 0) + good, 1, "error", "a block of length 0: no reader may stand still")
    ng("length-small", front + struct.pack("<III", EPB, 8, 8) + good, 1, "error", "a block shorter than its own frame")
    ng("length-odd", front + block(EPB, good[8:-4], length=len(good) + 1) + good, 1, "error", "a length that is no multiple of four")
    ng("length-absurd", front + struct.pack("<II", EPB, 0xFFFFFFFC) + bytes(64), 1, "error", "a block of 4 GB")
    ng("trailer", front + block(EPB, good[8:-4], trailer=40) + good, 1, "any", "the length at the block's end differs: an error, or passed over")
    ng("cut", front + good[:50], 1, "error", "cut within a packet")
    ng("cut-in-length", front + good[:6], 1, "error", "cut in the block's length")
    ng("captured-beyond", front + epb(FRAMES[0], 0, captured=5000) + good, 1, "error", "a captured length beyond the block")
    ng("order", block(SHB, struct.pack("<IHHq", 0x12345678, 1, 0, -1)) + idb() + good, 0, "error", "a byte-order magic that is none")
    ng("version", shb(major=9) + idb() + good, 0, "error", "version 9.0")
    ng("cut-in-section", section[:20], 0, "error", "cut in the section's header")
    wrong = struct.pack("<HH", 9, 400) + b"\x06\0\0\0"
    ng("option-beyond", section + block(IDB, struct.pack("<HHI", 1, 0, 0) + wrong) + good, None, "any", "an option longer than its block: an error, or the option passed over")
    ng("resolution-empty", section + block(IDB, struct.pack("<HHI", 1, 0, 0) + options("<", (9, b""))) + good, None, "any", "if_tsresol without a byte: an error, or microseconds")
    for name, code in (("10", 0x7F), ("2", 0xFF)):
        ng(f"resolution-{name}", section + idb(resolution=code) + epb(FRAMES[0], 1) + epb(FRAMES[1], (1 << 64) - 1), None, "any",
           f"if_tsresol {name}^-127: an error or times of 0, no panic")
    ng("time-last", section + idb(resolution=0) + epb(FRAMES[0], (1 << 64) - 1) + epb(FRAMES[1], 1), None, "any", "whole seconds, and 2^64-1 of them: beyond any clock")
    ng("offset-ends", section + idb(resolution=9, offset=(1 << 63) - 1) + epb(FRAMES[0], 1) + idb(resolution=9, offset=-(1 << 63)) +
       epb(FRAMES[1], 1, interface=1), None, "any", "if_tsoffset at both ends of 64 bits")
    ng("many-interfaces", section + idb() * 300 + epb(FRAMES[0], ticks_of(TICKS_64THS[0], 6), interface=299), 1, "ok", "three hundred interfaces")

    odd = []
    packet = exchange()[3][1]
    segment = packet[20:]

    def frame(ip):
        return SERVER_MAC + CLIENT_MAC + struct.pack("!H", 0x86DD if ip[:1] and ip[0] >> 4 == 6 else 0x0800) + ip

    odd += [b"", b"\0", FRAMES[3][:13], FRAMES[3][:14], FRAMES[3][:20], FRAMES[3][:33], FRAMES[3][:34], FRAMES[3][:53]]
    odd.append(frame(bytes([0x41]) + packet[1:]))                                     # IHL of 4 bytes
    odd.append(frame(bytes([0x4F]) + packet[1:24]))                                   # IHL beyond the packet
    odd.append(frame(packet[:2] + struct.pack("!H", 10) + packet[4:]))                # total length within the header
    odd.append(frame(packet[:2] + struct.pack("!H", 60000) + packet[4:]))             # total length beyond the frame
    odd.append(frame(packet[:2] + struct.pack("!H", 0) + packet[4:]))                 # 0, as super-frames have it
    odd.append(frame(packet[:32] + bytes([0x10]) + packet[33:]))                      # data offset of 4 bytes
    odd.append(frame(packet[:32] + bytes([0xF0]) + packet[33:50]))                    # data offset beyond the segment
    odd.append(frame(bytes([0x95]) + packet[1:]))                                     # IP version 9
    mss0 = tcp(CLIENT, SERVER, (1, 80), 0, 0, 2, b"", bytes([2, 0, 0, 0]))
    odd.append(frame(ipv4(CLIENT, SERVER, mss0)))                                     # an option of length 0
    sack = tcp(CLIENT, SERVER, (1, 80), 0, 0, 0x10, b"", bytes([5, 38, 1, 1]))
    odd.append(frame(ipv4(CLIENT, SERVER, sack)))                                     # SACK beyond the header
    odd.append(frame(ipv4(CLIENT, SERVER, tcp(CLIENT, SERVER, (1, 80), 5, 5, 0x3F, b"all flags"))))
    odd.append(frame(ipv4(CLIENT, SERVER, tcp(CLIENT, SERVER, (1, 80), 5, 5, 0, b"no flag"))))
    odd.append(frame(ipv4(SERVER, SERVER, tcp(SERVER, SERVER, (80, 80), 5, 5, 2))))   # to itself
    odd.append(frame(ipv6(CLIENT6, SERVER6, bytes([0, 0] + [0] * 6) * 60, 0)))        # options for ever
    odd.append(frame(ipv6(CLIENT6, SERVER6, bytes([0, 255] + [0] * 6), 0)))           # options beyond the packet
    odd.append(frame(ipv6(CLIENT6, SERVER6, b"", 6)))                                 # no segment
    odd.append(SERVER_MAC + CLIENT_MAC + struct.pack("!HH", 0x8100, 7) * 40 + struct.pack("!H", 0x800) + packet)
    odd.append(SERVER_MAC + CLIENT_MAC + struct.pack("!HH", 0x8100, 7))               # a tag and nothing
    # Fragments: one without the others, two that overlap, one beyond 65,535 bytes, an empty one.
    odd.append(frame(ipv4(CLIENT, SERVER, segment[:24], fragment=0x2000, identity=1)))
    odd.append(frame(ipv4(CLIENT, SERVER, segment[:24], fragment=0x2000, identity=2)))
    odd.append(frame(ipv4(CLIENT, SERVER, segment[16:], fragment=0x0002, identity=2)))
    odd.append(frame(ipv4(CLIENT, SERVER, segment[:24], fragment=0x1FFF, identity=3)))
    odd.append(frame(ipv4(CLIENT, SERVER, b"", fragment=0x2000, identity=4)))
    times = [TIMES_NS[0] + n * 10**6 for n in range(len(odd) + len(FRAMES))]
    put("frames.pcap", pcap(odd + FRAMES, times), len(odd) + len(FRAMES), "ok",
        f"{len(odd)} frames that lie about their lengths, headers, options, tags and fragments; then a whole connection of {len(FRAMES)}")
    write_table(folder, "file\tframes\tend\twhat", rows)


def write_table(folder, head, rows):
    with open(os.path.join(folder, "expected.tsv"), "w") as out:
        out.write("\n".join([head] + ["\t".join(row) for row in rows]) + "\n")


# ---- what tells the machine ---------------------------------------------------------------------


def strip_host(path):
    """Drops the section's options (hardware, system, program) and the interfaces' system."""
    with open(path, "rb") as file:
        data = file.read()
    out, at, order = [], 0, "<"
    while at < len(data):
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
        kind, length = struct.unpack_from(order + "II", data, at)
        body = data[at + 8:at + length - 4]
        if kind == SHB:
            body = body[:16]
        elif kind == IDB:
            kept, place = [], 8
            while place + 4 <= len(body):
                code, size = struct.unpack_from(order + "HH", body, place)
                if code not in (0, 12, 15):
                    kept.append((code, body[place + 4:place + 4 + size]))
                place += 4 + size + -size % 4
            body = body[:8] + options(order, *kept)
        out.append(block(kind, body, order))
        at += length
    with open(path, "wb") as file:
        file.write(b"".join(out))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["strip-host"] and len(arguments) == 2:
        strip_host(arguments[1])
    elif arguments[:1] == ["write"] and len(arguments) <= 2:
        root = arguments[1] if len(arguments) == 2 else os.path.dirname(os.path.abspath(__file__))
        for name, write in (("formats", write_formats), ("broken", write_broken)):
            os.makedirs(os.path.join(root, name), exist_ok=True)
            write(os.path.join(root, name))
    else:
        raise SystemExit(__doc__)
