#!/usr/bin/env python3
"""Frames of testvectors/pcap/formats/*.pcap as seeds of the target `dissect`: corpus/dissect."""

import hashlib
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
# By LINKTYPE, the place in the target's list.
LINKS = {1: 0, 113: 1, 276: 2, 101: 3, 228: 3, 229: 3, 0: 4, 108: 5}

out = HERE / "corpus" / "dissect"
out.mkdir(parents=True, exist_ok=True)
for path in sorted((HERE / "../testvectors/pcap/formats").glob("*.pcap")):
    data = path.read_bytes()
    order = "<" if data[0] in (0xD4, 0x4D) else ">"
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    at = 24
    while at < len(data):
        captured, wire = struct.unpack_from(order + "II", data, at + 8)
        frame = data[at + 16 : at + 16 + captured]
        at += 16 + captured
        seed = struct.pack(">BH", LINKS[link], wire - captured) + frame
        (out / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
