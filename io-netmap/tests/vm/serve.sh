#!/bin/sh
# In the machine that vm.sh boots: server and load generator over a pipe and over a VALE switch, then
# the kernel's own clients against a server on one end of a veth pair, also with frames lost. Every
# body is compared. Ends at the first thing that is wrong.
#
#   SIMOOM_LOAD_KEPT   requests over connections that are kept, on pipe and switch each; 20000
#   SIMOOM_LOAD_EACH   requests with a connection each, on pipe and switch each; 2000
#   SIMOOM_LOAD_LINKS  "killed pipe switch veth", or some of them
kept=${SIMOOM_LOAD_KEPT:-20000}
each=${SIMOOM_LOAD_EACH:-2000}
links=${SIMOOM_LOAD_LINKS:-killed pipe switch veth}
# shellcheck source=/dev/null
. /common.sh

over() {
    examine "$2" 0
    start "$2" 10.66.0.2/24
    load "$1, connections kept" "$3" --requests "$kept"
    load "$1, a connection each" "$3" --requests "$each" --requests-per-connection 1
    load "$1, open loop" "$3" --for 5 --rate 1000
    finish
}

# A server that is killed while another program holds the same memory gives nothing back, and the next
# one says so; once nobody holds the memory, all is there again.
killed() {
    simoom serve /www --port 'netmap:kill}1' --addr 10.68.0.2/24 --buffers 1024 >/tmp/holding 2>&1 &
    holder=$!
    until grep -q serving /tmp/holding; do sleep 0.1; done
    start 'netmap:kill{1' 10.66.0.2/24
    stop KILL
    start 'netmap:kill{1' 10.66.0.2/24
    grep 'are not there' /tmp/summary >/tmp/said || fail "nothing is said of buffers that were lost"
    finish
    kill -INT $holder
    wait $holder
    start 'netmap:kill{1' 10.66.0.2/24
    if grep 'are not there' /tmp/summary; then fail "buffers are lost after all have closed"; fi
    finish
    echo "-- killed: the next start says: $(cat /tmp/said)"
}

for link in $links; do
    case $link in
    pipe) over pipe 'netmap:load{1' 'netmap:load}1' ;;
    switch) over switch vale0:srv vale0:cli ;;
    killed) killed ;;
    esac
done
case " $links " in *" veth "*) ;; *) exit 0 ;; esac

# The kernel's clients at the other end of a pair of interfaces.
cp /tmp/1000000.bin /www/
/bin/ip link add veth0 type veth peer name veth1 || { echo "skipped: no veth in this kernel"; exit 0; }
/bin/ip link set veth0 up
/bin/ip link set veth1 up
if [ -x /bin/ethtool ]; then
    # The other end leaves checksums to hardware that is not there.
    examine netmap:veth0 1
    ethtool -K veth1 tx off >/dev/null || fail "the checksum offload of veth1 stays on"
else
    echo "skipped: the host has no ethtool, and with checksum offload on nothing would be heard"
    exit 0
fi
examine netmap:veth0 0
examine netmap:nosuchif0 2
/bin/ip addr add 10.67.0.1/24 dev veth1
start netmap:veth0 10.67.0.2/24
examine netmap:veth0 5

fetch_all() {
    for _ in $(seq "$2"); do
        for file in /www/*.bin; do
            name=$(basename "$file")
            if [ -x /bin/curl ]; then
                curl -sf --max-time 120 -o /tmp/got "http://10.67.0.2/$name" || fail "curl: $name: $?"
            else
                wget -q -T 120 -O /tmp/got "http://10.67.0.2/$name" || fail "wget: $name: $?"
            fi
            [ "$(sha256sum </tmp/got)" = "$(sha256sum <"$file")" ] || fail "$name: another SHA-256"
            echo "$name" >>/tmp/fetched
        done
    done
    echo "$1: $(wc -l </tmp/fetched) files fetched, every SHA-256 right"
    rm /tmp/fetched
}

# Generic mode fills a packet's memory anew one round of its ring (1,024 slots) later, though a socket of
# this machine may still hold it unread: readers that are slow would see later bytes. So less waits.
echo '4096 8192 16384' >/proc/sys/net/ipv4/tcp_rmem

# wrk compares every body too.
bodies() {
    if [ -x /bin/wrk ]; then
        wrk -t1 -c4 -d10s --timeout 30s --latency -s /bodies.lua http://10.67.0.2:80/ | tee /tmp/wrk
        grep -q 'bodies: [1-9][0-9]* right, 0 wrong' /tmp/wrk || fail "$1: wrk saw wrong bodies"
        if grep -q 'Non-2xx\|Socket errors' /tmp/wrk; then fail "$1: wrk saw errors"; fi
    fi
}

echo "-- the kernel's clients over veth"
fetch_all "no loss" 5
bodies "no loss"
lossy=
if /bin/tc qdisc add dev veth1 root netem loss 1% 2>/dev/null; then lossy="$lossy to the server (netem)"; fi
if [ -x /bin/nft ] && nft add table ip lossy &&
    nft 'add chain ip lossy in { type filter hook input priority 0; }'; then
    # Without numgen in the kernel, 10 of 1024 by the checksum: as good as random, and other with each
    # retransmission's timestamp.
    for which in 'numgen random mod 100 == 0' 'tcp checksum & 1023 < 10'; do
        if nft "add rule ip lossy in iifname veth1 $which counter drop" 2>/dev/null; then
            lossy="$lossy to the client (nft: $which)"
            break
        fi
    done
fi
if [ -n "$lossy" ]; then
    echo "-- the same with 1 % lost:$lossy"
    fetch_all "1 % lost" 10
    bodies "1 % lost"
    /bin/tc -s qdisc show dev veth1 | grep dropped
    [ ! -x /bin/nft ] || nft list table ip lossy | grep counter
else
    echo "skipped: neither netem nor nft: nothing was lost"
fi
finish
