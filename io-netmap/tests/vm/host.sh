#!/bin/sh
# In the machine that vm.sh boots: the stack and the kernel share an interface, one end of a veth pair,
# whose other end is another machine (a network namespace). First the stack has an address of its own, then
# that of the kernel. Meanwhile files are fetched from both, at the same time, the kernel is pinged, and opens
# connections of its own through the same interface. Every body is compared, and in the end the
# counters of both ends add up.
#
#   SIMOOM_HOST_ROUNDS   how often every file is fetched; 5
#   SIMOOM_HOST_CLOSES   opens and closes with traffic of the kernel; 100
rounds=${SIMOOM_HOST_ROUNDS:-5}
closes=${SIMOOM_HOST_CLOSES:-100}

fail() {
    echo "FAILED: $*"
    [ ! -s /tmp/summary ] || cat /tmp/summary
    exit 1
}

for program in curl ethtool ip; do
    [ -x /bin/$program ] || { echo "skipped: the host has no $program"; exit 0; }
done
far() { /bin/ip netns exec far "$@"; }

mkdir -p /www /far
for size in 0 1 1460 9000 24999 70000 1000000; do
    head -c $size /dev/urandom >/www/$size.bin
done
head -c 300000 /dev/urandom >/far/far.bin

# No neighbour discovery: whatever crosses the wire is counted and was asked for.
for all in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >"$all"; done 2>/dev/null
/bin/ip netns add far || { echo "skipped: no network namespaces in this kernel"; exit 0; }
# Another script may have left its own.
/bin/ip link del veth0 2>/dev/null
/bin/ip link add veth0 type veth peer name veth1 || { echo "skipped: no veth in this kernel"; exit 0; }
/bin/ip link set veth1 netns far
far sh -c 'for all in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >"$all"; done' 2>/dev/null
/bin/ip addr add 10.70.0.1/24 dev veth0
far /bin/ip addr add 10.70.0.9/24 dev veth1
/bin/ip link set veth0 up
far /bin/ip link set veth1 up
far /bin/ip link set lo up
far ethtool -K veth1 tx off >/dev/null || fail "the checksum offload of veth1 stays on"

simoom doctor --port 'netmap:veth0^' >/tmp/doctor
grep -q 'leaves checksums to the NIC' /tmp/doctor ||
    fail "doctor says nothing of checksums that the kernel leaves out: $(cat /tmp/doctor)"
ethtool -K veth0 tx off >/dev/null || fail "the checksum offload of veth0 stays on"
simoom doctor --port 'netmap:veth0^' --open || fail "doctor ended with $?"

# A service of the kernel's on each side.
httpd -p 8080 -h /www
far httpd -p 8081 -h /far

count() { far cat /sys/class/net/veth1/statistics/"$1"; }
# pings [WHERE]: echo requests sent and answers got, by all, as the kernel counts them.
pings() {
    $1 cat /proc/net/snmp | awk '/^Icmp: In/ { for (i = 2; i <= NF; i++) at[$i] = i; next }
        /^Icmp: / { print $at["OutEchos"], $at["InEchoReps"] }'
}
said() { sed -n "s/^ *\([0-9]*\)  $1\$/\1/p" /tmp/summary; }

# start ADDR: the stack, over the interface with the host's rings.
start() {
    received=$(count rx_packets) sent=$(count tx_packets)
    pings_before="$(pings far) $(pings)"
    : >/tmp/serving
    simoom serve /www --port 'netmap:veth0^' --addr "$1" >/tmp/serving 2>/tmp/summary &
    server=$!
    tries=0
    until grep -q serving /tmp/serving; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] && kill -0 $server 2>/dev/null || fail "no server"
        sleep 0.1
    done
}

# Ends it, and compares its counters with those of the other end of the wire.
finish() {
    sleep 0.2
    kill -INT $server
    wait $server
    code=$?
    cat /tmp/summary
    [ $code = 0 ] || fail "the server ended with $code"
    # But for the segments that were answered with a reset.
    if grep 'dropped: ' /tmp/summary | grep -qv 'of no connection'; then fail "frames were dropped"; fi
    received=$(($(count rx_packets) - received)) sent=$(($(count tx_packets) - sent))
    in=$(sed -n 's/.*: \([0-9]*\) frames in .*/\1/p' /tmp/summary)
    out=$(sed -n 's/.*), \([0-9]*\) out .*/\1/p' /tmp/summary)
    to_host=$(said 'frames handed to the host') from_host=$(said 'frames of the host sent')
    not_ours=0
    for line in $(sed -n 's/^ *\([0-9]*\)  not ours: .*/\1/p' /tmp/summary); do
        not_ours=$((not_ours + line))
    done
    set -- $pings_before $(pings far) $(pings)
    echo "pings answered: the far end $(($6 - $2)) of $(($5 - $1)), this one $(($8 - $4)) of $(($7 - $3))"
    [ $(($5 - $1)) = $(($6 - $2)) ] && [ $(($7 - $3)) = $(($8 - $4)) ] || fail "pings were lost"
    echo "the far end sent $sent frames and got $received; the stack saw $in and sent $out," \
        "$to_host went to the kernel and $from_host came from it"
    [ "$sent" = "$in" ] || fail "$sent frames were sent, $in came"
    [ "$received" = $((out + from_host)) ] || fail "$received frames came out, $((out + from_host)) were sent"
    [ "$to_host" = "$not_ours" ] || fail "$to_host frames went to the kernel, $not_ours were not ours"
    [ "$to_host" -gt 100 ] && [ "$from_host" -gt 100 ] || fail "hardly anything went by the kernel"
}

# fetch NAME RUN URL DIR: RUN curl for every file, ROUNDS times.
fetch() {
    for round in $(seq "$rounds"); do
        for file in "$4"/*.bin; do
            name=$(basename "$file")
            $2 curl -sf --max-time 60 -o "/tmp/got-$1" "$3/$name" || { echo "$1: $name: curl $?"; return 1; }
            [ "$(sha256sum <"/tmp/got-$1")" = "$(sha256sum <"$file")" ] ||
                { echo "$1: $name: another SHA-256"; return 1; }
        done
    done
    echo "$1: every SHA-256 right, $rounds times $(ls "$4" | wc -l) files"
}

# both STACK: files from the stack and from the kernel, and of the far machine by the kernel, at once,
# with pings all the while.
both() {
    fetch stack far "http://$1" /www & stack=$!
    fetch kernel far http://10.70.0.1:8080 /www & kernel=$!
    fetch outwards '' http://10.70.0.9:8081 /far & outwards=$!
    # On a busy machine ping gives up before the last answers come: the kernel's counters tell.
    far ping -q -c 20 -i 0.1 10.70.0.1 >/dev/null & inwards_pings=$!
    ping -q -c 20 -i 0.1 10.70.0.9 >/dev/null & outwards_pings=$!
    for job in $stack $kernel $outwards; do
        wait "$job" || fail "one of those at the same time"
    done
    wait $inwards_pings $outwards_pings
}

# refused HOST PORT: nobody listens there, and that is said at once.
refused() {
    far curl -s --max-time 5 -o /dev/null "http://$1:$2/"
    code=$?
    [ $code = 7 ] || fail "$1:$2: curl ended with $code, not 7 (refused)"
}

echo "-- the stack's address is its own"
start 10.70.0.2/24
grep -q 'the host gets all that is not for 10.70.0.2' /tmp/summary || fail "which way it is was not said"
both 10.70.0.2
far ping -c 3 -W 5 10.70.0.2 >/dev/null || fail "the stack does not answer pings"
refused 10.70.0.2 8080
refused 10.70.0.1 80
finish

echo "-- one address for the stack and the kernel"
start 10.70.0.1/24
grep -q '10.70.0.1 is the host.s address too' /tmp/summary || fail "which way it is was not said"
# Whoever was asked before knows the same hardware address.
far /bin/ip neigh flush all
both 10.70.0.1
refused 10.70.0.1 9999
simoom doctor --port 'netmap:veth0^' --open >/tmp/doctor && fail "doctor opens what is open"
finish
[ "$(said 'not ours: to the address that is the host.s too')" -gt 100 ] ||
    fail "the kernel's frames came to another address"

echo "-- $closes opens and closes while the kernel sends and gets"
/bin/ip netns exec far ping -i 0.01 -q 10.70.0.1 >/dev/null & pings=$!
for round in $(seq "$closes"); do
    : >/tmp/serving
    simoom serve /www --port 'netmap:veth0^' --addr 10.70.0.1/24 --buffers 1024 >/tmp/serving 2>/tmp/summary &
    server=$!
    until grep -q serving /tmp/serving; do kill -0 $server 2>/dev/null || fail "no server in round $round"; done
    far curl -sf --max-time 10 -o /dev/null http://10.70.0.1/1460.bin || fail "curl: round $round: $?"
    kill -INT $server
    wait $server || fail "the server of round $round ended with $?"
    if grep -q 'are not there' /tmp/summary; then fail "buffers are lost in round $round"; fi
done
kill $pings
wait $pings
simoom doctor --port 'netmap:veth0^' --open >/tmp/doctor || fail "doctor ended with $?"
grep 'ok.*opened, with 16384 packet buffers' /tmp/doctor || fail "buffers are lost: $(cat /tmp/doctor)"

echo "-- the suite over an interface with the host's rings"
far /bin/ip link set veth1 netns 1 && /bin/ip addr flush dev veth0 &&
    /bin/ip link set veth0 up && /bin/ip link set veth1 up || fail "the far end does not come back"
SIMOOM_NETMAP_PORT='netmap:veth0^' SIMOOM_NETMAP_FAR=netmap:veth1 \
    live --test-threads=1 --nocapture what_the_environment_names >/tmp/suite 2>&1
code=$?
cat /tmp/suite
[ $code = 0 ] || fail "the suite ended with $code"
if grep -q '^running 0 tests' /tmp/suite; then fail "this is no program of the suite"; fi

# Of three queues that the other end sends through, the kernel takes the last for ring 1.
echo "-- two shards and the kernel with one address"
/bin/ip link add many0 numrxqueues 2 numtxqueues 2 type veth peer name many1 numtxqueues 3 ||
    fail "no interface with two queues"
/bin/ip link set many1 netns far
far ethtool -L many1 tx 3 2>/dev/null
ethtool -L many0 rx 2 tx 2 2>/dev/null
far ethtool -K many1 tx off >/dev/null || fail "the checksum offload of many1 stays on"
ethtool -K many0 tx off >/dev/null || fail "the checksum offload of many0 stays on"
/bin/ip addr add 10.71.0.1/24 dev many0
far /bin/ip addr add 10.71.0.9/24 dev many1
/bin/ip link set many0 up
far /bin/ip link set many1 up
: >/tmp/serving
simoom serve /www --port 'netmap:many0^' --shards 2 --addr 10.71.0.1/24 --buffers 4096 \
    >/tmp/serving 2>/tmp/summary &
server=$!
until grep -q serving /tmp/serving; do kill -0 $server 2>/dev/null || fail "no server of two shards"; done
fetch stack far http://10.71.0.1 /www & stack=$!
fetch kernel far http://10.71.0.1:8080 /www & kernel=$!
fetch outwards '' http://10.71.0.9:8081 /far & outwards=$!
far ping -q -c 20 -i 0.1 10.71.0.1 >/dev/null & inwards_pings=$!
for job in $stack $kernel $outwards; do
    wait "$job" || fail "one of those at the same time, with two shards"
done
wait $inwards_pings || fail "no ping came back with two shards"
kill -INT $server
wait $server || fail "the server of two shards ended with $?"
cat /tmp/summary
[ "$(grep -c '[1-9][0-9]*  frames handed to the host' /tmp/summary)" = 2 ] ||
    fail "one ring handed everything to the kernel"
if grep 'dropped: ' /tmp/summary | grep -qv 'of no connection'; then fail "frames were dropped"; fi
