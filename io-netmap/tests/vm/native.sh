#!/bin/sh
# In the machine that vm.sh boots with SIMOOM_VM_NIC and SIMOOM_VM_DRIVERS: two NICs with a cable between
# them, whose driver has netmap built in. Frames, requests, a kernel at the other end, and what goes
# wrong with interfaces. Ends at the first thing that is wrong. Load netmap with admode=1: then a driver
# that it is not built into is an error and no slow success.
#
#   SIMOOM_NATIVE_STEPS   "doctor verify load clients gather mtu removed rings shards", or some of them; also
#                         "suite", which a NIC fails where it pads frames below 60 bytes
#   SIMOOM_VERIFY_FRAMES  frames that verify sends; 200000
#   SIMOOM_LOAD_KEPT      requests over connections that are kept; 100000
#   SIMOOM_LOAD_EACH      requests with a connection each; 10000
steps=${SIMOOM_NATIVE_STEPS:-doctor verify load clients gather mtu removed rings shards}
frames=${SIMOOM_VERIFY_FRAMES:-200000}
kept=${SIMOOM_LOAD_KEPT:-100000}
each=${SIMOOM_LOAD_EACH:-10000}
# shellcheck source=/dev/null
. /common.sh

# The interfaces with a device behind them, in the order of their slots.
nics=$(for device in /sys/class/net/*/device; do
    [ -e "$device" ] && echo "$(readlink -f "$device") $(basename "$(dirname "$device")")"
done | sort | cut -d' ' -f2)
near=$(echo "$nics" | sed -n 1p)
far=$(echo "$nics" | sed -n 2p)
[ -n "$far" ] || fail "there are no two NICs: SIMOOM_VM_NIC, and its driver in SIMOOM_VM_DRIVERS"

# A driver takes its time after a reset.
await_carrier() {
    for interface in "$near" "$far"; do
        tries=0
        until [ "$(cat "/sys/class/net/$interface/carrier" 2>/dev/null)" = 1 ]; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] || fail "$interface has no carrier after 10 s"
            sleep 0.1
        done
    done
}

driver=$(basename "$(readlink -f "/sys/class/net/$near/device/driver")")
rings() { set -- "/sys/class/net/$1/queues"/rx-*; echo $#; }
for interface in "$near" "$far"; do /bin/ip link set "$interface" up promisc on; done
await_carrier
all_rings=$(rings "$near")
echo "-- $near and $far, driver $driver, $all_rings receive rings"
one_ring() {
    for interface in "$near" "$far"; do
        /bin/ethtool -L "$interface" combined 1 || fail "$interface keeps its rings"
    done
    await_carrier
}
if [ "$all_rings" -gt 1 ]; then
    examine "netmap:$near" 2
    one_ring
fi

verify() {
    echo "-- verify $1 to $2"
    simoom verify --a "$1" --b "$2" --frames "$3" --out /tmp/nic.toml || fail "verify ended with $?"
    await_carrier
}

# Over the far interface, from the kernel.
fetch() {
    for file in /www/*.bin; do
        name=$(basename "$file")
        curl -sf --max-time 120 -o /tmp/got "http://10.66.0.2/$name" || fail "curl: $name: $?"
        [ "$(sha256sum </tmp/got)" = "$(sha256sum <"$file")" ] || fail "$name: another SHA-256"
    done
    echo "$1: $(echo /www/*.bin | wc -w) files fetched, every SHA-256 right"
}

kernel_end() {
    /bin/ip addr add 10.66.0.1/24 dev "$far"
    "$@"
    /bin/ip addr flush dev "$far"
}

with_doctor() {
    examine "netmap:$near" 0
    simoom doctor --port "netmap:$near" | grep -q 'native: netmap is built into' ||
        fail "doctor calls it not native"
    await_carrier
}

with_verify() {
    verify "netmap:$near" "netmap:$far" "$frames"
    cat /tmp/nic.toml
    if [ -r /scenarios/standard.toml ]; then
        simoom sim /scenarios/standard.toml --seeds 0..1 --nic /tmp/nic.toml || fail "sim ended with $?"
    fi
}

with_suite() {
    SIMOOM_NETMAP_PORT="netmap:$near" SIMOOM_NETMAP_FAR="netmap:$far" \
        live --exact suite::port_passes_over_what_the_environment_names --nocapture ||
        fail "the suite ended with $?"
    await_carrier
}

with_load() {
    start "netmap:$near" 10.66.0.2/24
    load "$driver, connections kept" "netmap:$far" --requests "$kept"
    load "$driver, a connection each" "netmap:$far" --requests "$each" --requests-per-connection 1
    load "$driver, open loop" "netmap:$far" --for 10 --rate 200
    finish
    await_carrier
}

# The far end's offloads are as the driver has them: its NIC computes checksums and cuts segments.
clients() {
    start "netmap:$near" 10.66.0.2/24
    fetch "$driver, offloads as they are"
    curl -sf --max-time 60 -T /www/70000.bin -o /dev/null http://10.66.0.2/70000.bin
    echo "a request with a body of 70 KB: curl says $?"
    bodies
    finish
}

# wrk, which compares every body.
bodies() {
    [ -x /bin/wrk ] || return 0
    wrk -t1 -c8 -d10s --timeout 30s -s /bodies.lua "$@" http://10.66.0.2:80/ | tee /tmp/wrk
    grep -q 'bodies: [1-9][0-9]* right, 0 wrong' /tmp/wrk || fail "wrk saw wrong bodies"
}

# Payload that frames share: the driver chains descriptors for it, or serve says that it does not.
gather() {
    if timeout -s INT 3 simoom serve /www --port "netmap:$near" --addr 10.66.0.2/24 --content-mode gather \
        >/tmp/said 2>&1; then
        await_carrier
        start "netmap:$near" 10.66.0.2/24 --content-mode gather
        fetch "$driver, gather"
        bodies
        finish
        grep -q 'payload that others share' /tmp/summary || fail "nothing was shared"
    else
        cat /tmp/said
        grep -q 'takes whole frames only' /tmp/said || fail "gather is refused without the reason"
    fi
}

# Frames above the buffer: refused at the start, or dropped and counted while the others are served.
mtu() {
    for interface in "$near" "$far"; do /bin/ip link set "$interface" mtu 4000 || return 0; done
    await_carrier
    simoom doctor --port "netmap:$near" | grep -i mtu
    if timeout -s INT 3 simoom serve /www --port "netmap:$near" --addr 10.66.0.2/24 >/tmp/said 2>&1; then
        start "netmap:$near" 10.66.0.2/24
        ping -c 3 -s 3000 -W 1 10.66.0.2 >/dev/null && fail "a frame above the buffer is answered"
        fetch "an MTU of 4000 at the other end"
        finish
        grep -i 'longer than' /tmp/summary || fail "nothing is said of long frames"
    else
        cat /tmp/said
        grep -q 'does not fit a buffer' /tmp/said || fail "the MTU is no reason to refuse"
    fi
    for interface in "$near" "$far"; do /bin/ip link set "$interface" mtu 1500; done
    await_carrier
}

# The driver lets go of the NIC while requests are on their way.
removed() {
    device=$(basename "$(readlink -f "/sys/class/net/$near/device")")
    path=$(readlink -f "/sys/class/net/$near/device/driver")
    start "netmap:$near" 10.66.0.2/24
    curl -sf --limit-rate 10k -o /dev/null http://10.66.0.2/70000.bin &
    client=$!
    sleep 1
    # Without a reader the kernel waits for whoever holds the interface.
    echo "$device" >"$path/unbind" &
    unbinding=$!
    tries=0
    while runs; do
        tries=$((tries + 1))
        if [ $tries -ge 200 ]; then
            where_it_is
            fail "the server goes on without its interface after 20 s"
        fi
        sleep 0.1
    done
    ended
    code=$?
    kill $client 2>/dev/null
    wait $unbinding
    cat /tmp/serving /tmp/summary
    [ $code = 1 ] || fail "the server ended with $code"
    grep -q 'is gone' /tmp/summary || fail "nothing is said of the interface"
    echo "$device" >"$path/bind"
    sleep 1
    /bin/ip link set "$near" up promisc on
    if [ "$all_rings" -gt 1 ]; then /bin/ethtool -L "$near" combined 1; fi
    await_carrier
    start "netmap:$near" 10.66.0.2/24
    fetch "made anew"
    finish
}

with_rings() {
    [ "$all_rings" -gt 1 ] || { echo "skipped: $driver has one ring here"; return 0; }
    for interface in "$near" "$far"; do /bin/ethtool -L "$interface" combined "$all_rings"; done
    await_carrier
    simoom serve /www --port "netmap:$near" --addr 10.66.0.2/24 >/tmp/said 2>&1
    code=$?
    cat /tmp/said
    [ $code = 2 ] || fail "an interface of $all_rings rings, and serve ended with $code"
    ring=0
    while [ $ring -lt "$all_rings" ]; do
        # Frames that are no IP come to the first ring.
        verify "netmap:$near-$ring" "netmap:$far-0" $((frames / 10))
        ring=$((ring + 1))
    done
    simoom serve /www --port "netmap:$near-$all_rings" --addr 10.66.0.2/24
    [ $? = 2 ] || fail "a ring that is not there is served"
    one_ring
}

# A shard for each ring, and the kernel's clients at the other end: the NIC spreads their connections.
shards() {
    [ "$all_rings" -gt 1 ] || { echo "skipped: $driver has one ring here"; return 0; }
    for interface in "$near" "$far"; do /bin/ethtool -L "$interface" combined "$all_rings"; done
    await_carrier
    /bin/ethtool -x "$near" | tail -8
    simoom doctor --port "netmap:$near" --shards "$all_rings" >/tmp/doctor || fail "doctor ended with $?"
    grep 'rings\|hash\|key' /tmp/doctor
    start "netmap:$near" 10.66.0.2/24 --shards "$all_rings" --buffers 4096
    fetch "$driver, $all_rings shards"
    # A connection for each request, so that there are many to spread.
    bodies -H 'Connection: close'
    finish
    grep -q "by $all_rings shards" /tmp/summary || fail "there are not $all_rings shards"
    if grep '100.0 % of requests' /tmp/summary; then fail "one shard did everything"; fi
    if grep 'of no connection' /tmp/summary; then fail "frames of a connection changed rings"; fi
    # Where nobody says a key, the one that is assumed may be another.
    if grep 'the hash does not choose' /tmp/summary && ! grep -q Microsoft /tmp/doctor; then
        fail "it spreads otherwise than it says"
    fi
    one_ring
}

for step in $steps; do
    case $step in
    doctor | verify | suite | load | rings) "with_$step" ;;
    clients | gather | mtu | removed | shards) kernel_end "$step" ;;
    *) fail "SIMOOM_NATIVE_STEPS: $step is no step" ;;
    esac
done
