#!/bin/sh
# In the machine that vm.sh boots: `simoom serve --turn-log` over a pipe and over a VALE switch while
# `simoom load` asks, and over one end of a veth pair while curl does and frames are lost; each log is then
# played over the simulator's NIC, the model of netmap, and real netmap, where every frame must be the
# same. Ends at the first that is not. The logs are printed, for vm.sh to keep (SIMOOM_VM_LOGS).
#
#   SIMOOM_LOGGED  requests over pipe and switch each, and four times as many as rounds over veth; 40
logged=${SIMOOM_LOGGED:-40}
rounds=$((logged / 10))

fail() { echo "FAILED: $*"; exit 1; }

mkdir -p /www
for size in 0 1 700 3000 12000; do head -c $size /dev/urandom >/www/$size.bin; done

server=
# start NAME PORT ADDR/LEN
start() {
    log=/tmp/$1.turnlog
    # Few buffers, so that any port can play the log.
    simoom serve /www --port "$2@buffers=128" --addr "$3" --turn-log "$log" >/tmp/serving 2>/tmp/summary &
    server=$!
    tries=0
    until grep -q serving /tmp/serving; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] && kill -0 $server 2>/dev/null || fail "no server on $2: $(cat /tmp/summary)"
        sleep 0.1
    done
}

finish() {
    kill -INT $server
    wait $server || fail "the server ended with $?"
    cat /tmp/summary
    grep -q 'turns logged' /tmp/summary || fail "no turn was logged"
    if grep -q 'turns not logged' /tmp/summary; then fail "the log is not whole"; fi
    # One that is larger than the console is good for is not for keeping.
    if [ "$(wc -c <"$log")" -lt 100000 ]; then
        base64 "$log" | sed "s/^/turn-log $(basename "$log") /"
    fi
}

# play NEAR FAR
play() { simoom replay --turn-log "$log" --port "$1" --far "$2" || fail "$log over $1: $?"; }

load() {
    simoom load --content /www --port "$1" --addr 10.66.0.9/24 --server 10.66.0.2 --requests "$logged" \
        --requests-per-connection 4 --connections 4 >/tmp/load || fail "load ended with $?"
}

start netmap-pipe 'netmap:load{1' 10.66.0.2/24
load 'netmap:load}1'
finish
play 'netmap:play{1' 'netmap:play}1'
play vale2:near vale2:far

start netmap-switch vale0:srv 10.66.0.2/24
load vale0:cli
finish
play vale1:near vale1:far
play 'netmap:play{2' 'netmap:play}2'

# Another script may have left its own.
/bin/ip link del veth0 2>/dev/null
/bin/ip link add veth0 type veth peer name veth1 || { echo "skipped: no veth in this kernel"; exit 0; }
/bin/ip link set veth0 up
/bin/ip link set veth1 up
for program in ethtool curl; do
    [ -x /bin/$program ] || { echo "skipped: the host has no $program"; exit 0; }
done
ethtool -K veth1 tx off >/dev/null || fail "the checksum offload of veth1 stays on"
/bin/ip addr add 10.67.0.1/24 dev veth1
start netmap-veth netmap:veth0 10.67.0.2/24
/bin/tc qdisc add dev veth1 root netem loss 5% || echo "nothing to the server is lost: no netem"
[ ! -x /bin/nft ] || nft delete table ip lossy 2>/dev/null
if [ -x /bin/nft ] && nft add table ip lossy &&
    nft 'add chain ip lossy in { type filter hook input priority 0; }'; then
    for which in 'numgen random mod 1024 < 51' 'tcp checksum & 1023 < 51'; do
        if nft "add rule ip lossy in iifname veth1 $which counter drop" 2>/dev/null; then break; fi
    done
fi
for round in $(seq "$rounds"); do
    for file in /www/*.bin; do
        curl -sf --max-time 120 -o /tmp/got "http://10.67.0.2/$(basename "$file")" || fail "curl: $?"
        [ "$(sha256sum </tmp/got)" = "$(sha256sum <"$file")" ] || fail "$file: another SHA-256"
    done
done
/bin/tc -s qdisc show dev veth1 | grep dropped
[ ! -x /bin/nft ] || { nft list table ip lossy | grep counter; nft delete table ip lossy; }
/bin/tc qdisc del dev veth1 root 2>/dev/null
finish
play 'netmap:play{3' 'netmap:play}3'
play vale3:near vale3:far
# Over the pair itself the log takes its time, several milliseconds a turn.
[ "$logged" -gt 100 ] || play netmap:veth0 netmap:veth1
