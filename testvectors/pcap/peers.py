#!/usr/bin/env python3
"""The clients and servers of make.sh that curl and nginx cannot be: slow, rude, patient, backwards.

Runs in one of make.sh's network namespaces; knows nothing of captures. `peers.py NAME ARGS...`.
"""

import fcntl
import os
import random
import selectors
import socket
import struct
import sys
import time

LINGER_RESET = struct.pack("ii", 1, 0)


def connect(host, port, receive_bytes=None, local_port=None, window_clamp=None):
    """A connection; its buffer is set before the SYN, since the window scale follows from it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(30)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    if window_clamp:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, window_clamp)
    if local_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", local_port))
    sock.connect((host, port))
    return sock


def request(host, path, close=False):
    name = f"[{host}]" if ":" in host else host
    end = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: peers\r\n{end}\r\n".encode()


def read_response(sock):
    """Reads one response with a Content-Length, and no byte of the next."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise SystemExit(f"the server closed after {head!r}")
        head += byte
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while length:
        length -= len(sock.recv(min(length, 65536)))


def drain(sock):
    total = 0
    while data := sock.recv(65536):
        total += len(data)
    return total


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.02)


def think(host, port, think_ms, *paths):
    """Requests on one connection, with a pause before each but the first."""
    sock = connect(host, int(port))
    for n, path in enumerate(paths):
        if n:
            time.sleep(int(think_ms) / 1000)
        sock.sendall(request(host, path))
        read_response(sock)
    sock.close()


def gated(host, port, ready, go, *paths):
    """The first request; then, once the file `go` is there, the others."""
    sock = connect(host, int(port))
    for n, path in enumerate(paths):
        if n == 1:
            open(ready, "w").close()
            wait_for(go)
        sock.sendall(request(host, path))
        read_response(sock)
    sock.close()


def pipeline(host, port, *paths):
    """All requests in one go, then all responses."""
    sock = connect(host, int(port))
    sock.sendall(b"".join(request(host, path) for path in paths))
    for _ in paths:
        read_response(sock)
    sock.close()


def slow(host, port, path, buffer_bytes, chunk_bytes, pause_ms, first_ms="0"):
    """Reads so much at a time, with pauses: the window closes."""
    sock = connect(host, int(port), receive_bytes=int(buffer_bytes))
    sock.sendall(request(host, path, close=True))
    time.sleep(int(first_ms) / 1000)
    while sock.recv(int(chunk_bytes)):
        time.sleep(int(pause_ms) / 1000)
    sock.close()


def small(host, port, path, window):
    """Never offers more than a small window."""
    sock = connect(host, int(port), receive_bytes=int(window), window_clamp=int(window))
    sock.sendall(request(host, path, close=True))
    drain(sock)
    sock.close()


def reset(host, port, path, after_bytes):
    """Resets the connection in the middle of the response."""
    sock = connect(host, int(port))
    sock.sendall(request(host, path))
    got = 0
    while got < int(after_bytes):
        got += len(sock.recv(int(after_bytes) - got))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    sock.close()


def leave(host, port, path, after_bytes):
    """Closes with data unread: the kernel answers what still comes with resets."""
    sock = connect(host, int(port))
    sock.sendall(request(host, path))
    got = 0
    while got < int(after_bytes):
        got += len(sock.recv(int(after_bytes) - got))
    sock.close()


def refused(host, port):
    """A port where nobody listens."""
    try:
        connect(host, int(port)).close()
    except ConnectionRefusedError:
        return
    raise SystemExit("somebody listens there")


def half(host, port, path):
    """Closes its sending direction behind the request, then reads the whole response."""
    sock = connect(host, int(port))
    sock.sendall(request(host, path))
    sock.shutdown(socket.SHUT_WR)
    print(drain(sock), "bytes after the half-close")
    sock.close()


def same_port(host, port, path, local_port, times):
    """The same four-tuple, again and again: each but the last ends with a reset."""
    for n in range(int(times)):
        sock = connect(host, int(port), local_port=int(local_port))
        sock.sendall(request(host, path))
        read_response(sock)
        if n + 1 < int(times):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        sock.close()
        time.sleep(0.1)


def probes(host, port, path, idle_ms):
    """An idle connection with TCP keep-alive: a probe a second."""
    sock = connect(host, int(port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.sendall(request(host, path))
    read_response(sock)
    time.sleep(int(idle_ms) / 1000)
    sock.sendall(request(host, path))
    read_response(sock)
    sock.close()


def many(host, port, path, count, at_once):
    """Short connections, so many of them at a time."""
    waiting, chooser, left = int(count), selectors.DefaultSelector(), int(count)
    alive = 0
    while left:
        while waiting and alive < int(at_once):
            sock = connect(host, int(port))
            sock.sendall(request(host, path, close=True))
            chooser.register(sock, selectors.EVENT_READ)
            waiting, alive = waiting - 1, alive + 1
        for key, _ in chooser.select():
            if not key.fileobj.recv(65536):
                chooser.unregister(key.fileobj)
                key.fileobj.close()
                left, alive = left - 1, alive - 1


def turns(host, port, pause_ms, *lengths):
    """Against `talker`: a turn of no protocol for each length, client bytes/server bytes/server ms."""
    sock = connect(host, int(port))
    for n, turn in enumerate(lengths):
        if n:
            time.sleep(int(pause_ms) / 1000)
        mine, theirs, wait_ms = (int(part) for part in turn.split("/"))
        sock.sendall(struct.pack("!III", mine, theirs, wait_ms) + bytes(mine))
        while theirs:
            theirs -= len(sock.recv(min(theirs, 65536)))
    sock.close()


def receive_exactly(sock, length):
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            return None
        data += part
    return data


def listen(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", int(port)))
    sock.listen(128)
    return sock


def talker(port):
    """The far end of `turns`; one connection at a time, for ever."""
    listener = listen(port)
    while True:
        sock, _ = listener.accept()
        while head := receive_exactly(sock, 12):
            mine, theirs, wait_ms = struct.unpack("!III", head)
            receive_exactly(sock, mine)
            time.sleep(wait_ms / 1000)
            sock.sendall(bytes(theirs))
        sock.close()


def quitter(port, bytes_before):
    """Answers a request with the first bytes of a long response, then resets the connection."""
    listener = listen(port)
    while True:
        sock, _ = listener.accept()
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(int(bytes_before)))
        time.sleep(0.2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        sock.close()


def closer(port, bytes_read):
    """Reads the first bytes of a request and closes: the rest is answered with a reset."""
    listener = listen(port)
    while True:
        sock, _ = listener.accept()
        receive_exactly(sock, int(bytes_read))
        sock.close()


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def flood(net, host, port, count):
    """SYNs from addresses of a /24 that never answer. `net` is its first three numbers."""
    draw = random.Random(1)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for _ in range(int(count)):
        source = socket.inet_aton(f"{net}.{draw.randrange(1, 255)}")
        target = socket.inet_aton(host)
        tcp = struct.pack("!HHIIBBHHHBBH", draw.randrange(1024, 65536), int(port),
                          draw.randrange(1 << 32), 0, 6 << 4, 2, 64240, 0, 0, 2, 4, 1460)
        pseudo = source + target + struct.pack("!BBH", 0, 6, len(tcp))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, target)
        raw.sendto(ip + tcp, (host, 0))
        time.sleep(0.002)


def ping(host, count):
    """ICMP echo requests, each answered before the next."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw.settimeout(5)
    for n in range(int(count)):
        echo = struct.pack("!BBHHH", 8, 0, 0, 7, n) + bytes(48)
        raw.sendto(echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:], (host, 0))
        raw.recv(2048)


def tun(name_a, name_b, ready):
    """Two tun devices, and what goes into one comes out of the other: links without a header."""
    files = []
    for name in (name_a, name_b):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0001 | 0x1000))
        files.append(fd)
    open(ready, "w").close()
    chooser = selectors.DefaultSelector()
    for n, fd in enumerate(files):
        chooser.register(fd, selectors.EVENT_READ, files[1 - n])
    while True:
        for key, _ in chooser.select():
            try:
                os.write(key.data, os.read(key.fd, 65536))
            except OSError:
                time.sleep(0.01)  # the other device is not up


def tag(name, trunk, *tags):
    """A device of this name whose frames are on the device `trunk` with these VLAN tags."""
    header = b"".join(struct.pack("!HH", int(kind, 16), int(number)) for kind, number in
                      (one.split(":") for one in tags))
    inner = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(inner, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000))
    outer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    outer.bind((trunk, 3))
    chooser = selectors.DefaultSelector()
    chooser.register(inner, selectors.EVENT_READ)
    chooser.register(outer, selectors.EVENT_READ)
    while True:
        for key, _ in chooser.select():
            try:
                if key.fileobj is outer:
                    # The kernel has taken the outermost tag.
                    frame, (_, _, kind, _, _) = outer.recvfrom(65536)
                    while frame[12:14] in (b"\x81\x00", b"\x88\xa8"):
                        frame = frame[:12] + frame[16:]
                    if kind != socket.PACKET_OUTGOING:
                        os.write(inner, frame)
                else:
                    frame = os.read(inner, 65536)
                    outer.send(frame[:12] + header + frame[12:])
            except OSError:
                time.sleep(0.01)  # a device is not up


PEERS = {f.__name__.replace("_", "-"): f for f in (
    think, gated, pipeline, slow, small, reset, leave, refused, half, same_port, probes, many,
    turns, talker, quitter, closer, flood, ping, tun, tag)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PEERS:
        raise SystemExit(f"usage: peers.py {{{','.join(PEERS)}}} ARGS...")
    PEERS[sys.argv[1]](*sys.argv[2:])
