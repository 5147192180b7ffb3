#!/bin/sh
# In the machine that vm.sh boots: server and load generator over a pipe and over a VALE switch, then
# the kernel's own clients against a server on one end of a veth pair, also with frames lost. Every
# body is compared. Ends at the first thing that is wrong.
#
#   SIMOOM_LOAD_KEPT   requests over connections that are kept, on pipe and switch each; 20000
#   SIMOOM_LOAD_EACH   requests with a connection each, on pipe and switch each; 2000
#   SIMOOM_LOAD_LINKS  "killed pipe switch gather shards veth", or some of them, or "modes": copies on demand
#                      and gather over the switch in turn, for their rates and the buffers that they take
#   SIMOOM_LOAD_ROUNDS how often, for "modes"; 3
kept=${SIMOOM_LOAD_KEPT:-20000}
each=${SIMOOM_LOAD_EACH:-2000}
links=${SIMOOM_LOAD_LINKS:-killed pipe switch gather shards veth}
rounds=${SIMOOM_LOAD_ROUNDS:-3}
# shellcheck source=/dev/null
. /common.sh

# over WHAT PORT PORT [ARGUMENT...]: the server's port, the client's, more for the server
over() {
    what=$1 near=$2 far=$3
    shift 3
    examine "$near" 0
    start "$near" 10.66.0.2/24 "$@"
    over=$what
    load "$over, connections kept" "$far" --requests "$kept"
    load "$over, a connection each" "$far" --requests "$each" --requests-per-connection 1
    load "$over, open loop" "$far" --for 5 --rate 1000
    finish
}

# Payload that frames share goes over a switch and not over a pipe, which says so.
gather() {
    simoom serve /www --port 'netmap:gather{1' --addr 10.66.0.2/24 --content-mode gather 2>/tmp/said
    code=$?
    [ $code = 2 ] || fail "gather over a pipe ended with $code, not 2"
    grep 'takes whole frames only, since a pipe' /tmp/said || fail "no reason: $(cat /tmp/said)"
    over "switch, shared payload" vale0:srv vale0:cli --content-mode gather
    grep 'payload that others share' /tmp/summary >/dev/null || fail "nothing was shared"
    simoom verify --a vale0:srv --b vale0:cli --frames 200000 --out /tmp/nic.toml ||
        fail "verify over the switch ended with $?"
}

# The same load in both modes, in turn, so that what else the machine does hits both.
modes() {
    for round in $(seq "$rounds"); do
        for mode in copies-on-demand gather; do
            start vale0:srv 10.66.0.2/24 --content-mode $mode
            load "$mode, round $round, connections kept" vale0:cli --requests "$kept"
            load "$mode, round $round, a connection each" vale0:cli --requests "$each" --requests-per-connection 1
            finish
        done
    done
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

# says FILE TEXT...: each stands in the file.
says() {
    file=$1; shift
    for text in "$@"; do
        grep -q -- "$text" "$file" || { cat "$file"; fail "$text: is not said"; }
    done
}

# get ADDRESS FILE: fetched by the kernel's client, and compared.
get() {
    if [ -x /bin/curl ]; then
        curl -sf --max-time 60 -o /tmp/got "http://$1/$2" || fail "curl: $2 from $1: $?"
    else
        wget -q -T 60 -O /tmp/got "http://$1/$2" || fail "wget: $2 from $1: $?"
    fi
    cmp -s /tmp/got "/www/$2" || fail "$2 from $1 differs"
}

# Two shards with one address. A pipe brings to ring 1 what was sent on ring 1, so there is a client for
# each; a pair of interfaces with two queues spreads by a hash of its own. Neither is the one that is
# assumed: it is said, and every byte is right.
shards() {
    echo "-- two shards over a pipe of two rings"
    start 'netmap:two{1' 10.66.0.2/24 --shards 2 --buffers 1024 --stats
    says /tmp/serving '2 shards on core'
    for ring in 0 1; do
        simoom load --content /www --port "netmap:two}1-$ring@conf:rings=2" --addr "10.66.0.9$ring/24" \
            --server 10.66.0.2 --requests "$each" --requests-per-connection 4 >/tmp/load$ring 2>&1 &
        eval "load$ring=\$!"
    done
    for ring in 0 1; do
        eval "wait \$load$ring" || { cat /tmp/load$ring; fail "the load on ring $ring"; }
        grep 'requests' /tmp/load$ring | head -1
    done
    finish
    says /tmp/summary 'two{1-0 (core ' 'two{1-1 (core ' 'by 2 shards' 'largest over mean: 1.0' \
        'came on this ring though the Toeplitz hash' 'on a ring that the hash does not choose' \
        "[^0-9]$((2 * each)) requests"

    echo "-- rings that do not fit the shards"
    simoom serve /www --port 'netmap:three{1@conf:rings=3' --addr 10.66.0.2/24 --shards 2 >/tmp/said 2>&1
    [ $? = 2 ] || fail "a third ring without a shard is not refused"
    says /tmp/said 'made with 3 receive rings, and 2 would be served'
    start 'netmap:one{1@conf:rings=1' 10.66.0.2/24 --shards 2
    says /tmp/summary 'served by 1 of 2 shards'
    finish

    # Of three queues that the other end sends through, the kernel takes the last for ring 1.
    /bin/ip link add many0 numrxqueues 2 numtxqueues 2 type veth peer name many1 numtxqueues 3 ||
        { echo "skipped: no veth in this kernel"; return; }
    [ -x /bin/ethtool ] || { echo "skipped: the host has no ethtool"; return; }
    ethtool -L many0 rx 2 tx 2 2>/dev/null
    ethtool -L many1 tx 3 2>/dev/null
    ethtool -K many1 tx off >/dev/null || fail "the checksum offload of many1 stays on"
    /bin/ip link set many0 up
    /bin/ip link set many1 up
    /bin/ip addr add 10.69.0.1/24 dev many1
    simoom doctor --port netmap:many0 --shards 2 --content /www
    simoom content /www --objects 1 --port netmap:many0 --shards 2 | tail -7
    echo "-- two shards over veth with two queues, the kernel's clients"
    start netmap:many0 10.69.0.2/24 --shards 2 --buffers 4096
    says /tmp/serving '2 shards on core'
    for round in 1 2 3 4 5 6 7 8; do
        for size in 0 700 24999 70000; do
            get 10.69.0.2 $size.bin
        done
    done
    # Both rings go with the interface: each shard says so, and it ends by itself.
    /bin/ip link del many0
    wait $server
    code=$?
    cat /tmp/summary
    [ $code = 1 ] || fail "the server without its interface ended with $code"
    if grep -q '100.0 % of requests' /tmp/summary; then fail "one shard did everything"; fi
    says /tmp/summary 'many0-0 .*is gone' 'many0-1 .*is gone' 'none is left' '2 of 2 shards ended'
    if grep 'wrong checksum\|malformed' /tmp/summary; then fail "the server saw damaged frames"; fi

    echo "-- two ports, of which one goes while both serve"
    for pair in a b; do
        /bin/ip link add "${pair}0" type veth peer name "${pair}1"
        ethtool -K "${pair}1" tx off >/dev/null || fail "the checksum offload of ${pair}1 stays on"
        /bin/ip link set "${pair}0" up
        /bin/ip link set "${pair}1" up
    done
    /bin/ip addr add 10.70.0.1/24 dev a1
    /bin/ip addr add 10.71.0.1/24 dev b1
    start netmap:a0 10.70.0.2/24 --port netmap:b0 --addr 10.71.0.2/24 --buffers 4096
    for address in 10.70.0.2 10.71.0.2; do
        get $address 24999.bin
    done
    /bin/ip link del a0
    for round in 1 2 3 4; do
        get 10.71.0.2 70000.bin
    done
    says /tmp/summary 'netmap:a0 serves no more, 1 other goes on: netmap:a0 is gone'
    kill -INT $server
    wait $server
    code=$?
    cat /tmp/summary
    [ $code = 1 ] || fail "the server that lost a port ended with $code"
    says /tmp/summary 'all ports: ' '1 of 2 shards ended by a failure'
    /bin/ip link del b0
}

for link in $links; do
    case $link in
    shards) shards ;;
    pipe) over pipe 'netmap:load{1' 'netmap:load}1' ;;
    switch) over switch vale0:srv vale0:cli ;;
    gather) gather ;;
    modes) modes ;;
    killed) killed ;;
    esac
done
case " $links " in *" veth "*) ;; *) exit 0 ;; esac

# The kernel's clients at the other end of a pair of interfaces.
cp /tmp/1000000.bin /www/
# Another script may have left its own.
/bin/ip link del veth0 2>/dev/null
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
