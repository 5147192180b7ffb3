#!/usr/bin/env bash
# Serving over TAP, held to figures: `simoom serve` and a smoltcp server take turns on one TAP
# device under wrk, tshark and the kernel check the frames, and curl fetches files of every size,
# one by one, 50 at once, and again with nftables dropping 1 % each way.
#
#   sudo benches/tap.sh [--rounds N] [--seconds N]
#
# Needs root (a network namespace of its own, a TAP device in it), Rust, wrk, tshark, curl,
# nftables and iproute2. Touches no interface outside its namespace. Takes less than three minutes
# once everything is built, and ends with 0 where all that must hold held, 1 where not, 2 where it
# could not be tried.
set -euo pipefail

readonly DEVICE=bench0 SERVER=10.66.0.2 HOST=10.66.0.1
readonly CONNECTIONS=256
# The file that wrk asks for; 22 KB, 16 segments.
readonly WRK_BYTES=22528
# What curl fetches: 0 B, 1 B, 1 KB, 22 KB, 1 MB, 200 MB.
readonly SIZES=(0 1 1024 22528 1048576 209715200)
readonly PARALLEL=50 PARALLEL_LARGEST=1
# Frames of ours whose checksums must have been checked; more are captured.
readonly FRAMES_MIN=100000 FRAMES_CAPTURED=120000
# Seconds for everything inside the namespace, and for one curl.
readonly TIME_MAX=180 CURL_MAX=60

rounds=2 seconds=10 inside=
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2; shift ;;
        --seconds) seconds=$2; shift ;;
        --inside) inside=$2; shift ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift
done

cannot() { printf 'tap.sh: %s\n' "$1" >&2; exit 2; }

# ---- Outside: build, then start again in a namespace, bounded in time. ----

if [ -z "$inside" ]; then
    cd "$(dirname "$0")/.."
    [ "$(id -u)" = 0 ] || cannot "a network namespace and a TAP device need root: use sudo"
    [ -e /dev/net/tun ] || cannot "there is no /dev/net/tun: modprobe tun"
    for tool in cargo wrk tshark dumpcap editcap curl nft ip nstat unshare sha256sum; do
        command -v "$tool" >/dev/null || cannot "$tool is not installed"
    done
    # Apart, so that neither build brings features into the other.
    cargo build --release --locked --quiet -p simoom --bin simoom
    cargo build --release --locked --quiet -p simoom-benches --bin smoltcp_tap
    target=$(cargo metadata --format-version 1 --no-deps --locked |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    exec timeout --kill-after=10 "$TIME_MAX" \
        unshare --net -- "$BASH" "benches/tap.sh" --inside "$target/release" \
        --rounds "$rounds" --seconds "$seconds"
fi

# ---- Inside. ----

work=$(mktemp -d)
site=$work/site
server_pid= dumpcap_pid=
failures=0

clean_up() {
    for pid in $server_pid $dumpcap_pid; do
        kill "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

# must TEXT COMMAND...: says whether what must hold does.
must() {
    local text=$1
    shift
    if "$@"; then
        printf 'ok    %s (%ss)\n' "$text" "$SECONDS"
    else
        printf 'FAIL  %s\n' "$text"
        failures=$((failures + 1))
    fi
}

wait_for() { # wait_for SECONDS COMMAND...: until it succeeds
    local until=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.05
    done
}

start() { # start simoom|smoltcp
    case $1 in
        simoom)
            "$inside/simoom" serve "$site" --port "tap:$DEVICE" --addr "$SERVER/24" \
                --host-addr "$HOST/24" >"$work/out" 2>"$work/err" &
            ;;
        smoltcp)
            "$inside/smoltcp_tap" --tap "$DEVICE" --addr "$SERVER/24" \
                "$site/$WRK_BYTES.bin" >"$work/out" 2>"$work/err" &
            ;;
    esac
    server_pid=$!
    if ! wait_for 10 grep -q '^serving' "$work/out"; then
        cat "$work/err" >&2
        cannot "$1 does not serve"
    fi
    # The other server had another hardware address.
    ip neigh flush dev "$DEVICE"
}

stop() { # ends the server; what it says of itself is then in $work/err
    kill -TERM "$server_pid"
    wait "$server_pid" || true
    server_pid=
}

# A counter of the kernel since this namespace began.
kernel_counter() { nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'; }

# Frames that the kernel dropped because the server did not read them in time.
queue_drops() { awk -v name="$DEVICE:" '$1 == name { print $13 }' /proc/net/dev; }

# The figures of a run: requests, requests a second, errors of connect, read, write and timeout,
# responses of status 400 and more, and the median and 99th percentile of latency in µs.
cat >"$work/figures.lua" <<'LUA'
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format("figures %d %.0f %d %d %d %d %d %d %d\n", summary.requests,
        summary.requests / summary.duration * 1e6, e.connect, e.read, e.write, e.timeout,
        e.status, latency:percentile(50), latency:percentile(99)))
end
LUA

run_wrk() { # run_wrk SECONDS: prints the figures
    timeout "$(($1 + 15))" wrk -t1 -c"$CONNECTIONS" -d"$1" -s "$work/figures.lua" \
        "http://$SERVER/$WRK_BYTES.bin" >"$work/wrk" || { cat "$work/wrk" >&2; return 1; }
    sed -n 's/^figures //p' "$work/wrk"
}

# fetch BYTES [SECONDS]: whether curl gets a file with the right digest.
fetch() {
    local digest
    digest=$(curl --silent --show-error --fail --max-time "$CURL_MAX" \
        "http://$SERVER/$1.bin" 2>>"$work/curl" | sha256sum) || return 1
    [ "${digest%% *}" = "${digests[$1]}" ]
}

fetch_each() {
    local bytes right=0
    for bytes in "${SIZES[@]}"; do
        if fetch "$bytes"; then right=$((right + 1)); else printf '      wrong: %s bytes\n' "$bytes"; fi
    done
    [ "$right" = "${#SIZES[@]}" ]
}

# All at once: PARALLEL_LARGEST of the largest, the rest shared by the other sizes.
fetch_parallel() {
    local n pids=() wrong=0 largest=$((${#SIZES[@]} - 1))
    for ((n = 0; n < PARALLEL; n++)); do
        if [ "$n" -lt "$PARALLEL_LARGEST" ]; then
            fetch "${SIZES[largest]}" &
        else
            fetch "${SIZES[n % largest]}" &
        fi
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || wrong=$((wrong + 1))
    done
    [ "$wrong" = 0 ]
}

# capture_start FILE: frames of the server's to FILE, at most FRAMES_CAPTURED.
capture_start() {
    dumpcap -q -i "$DEVICE" -f "tcp and src host $SERVER" -B 256 -c "$FRAMES_CAPTURED" \
        -a duration:60 -w "$1" 2>"$work/dumpcap" &
    dumpcap_pid=$!
    wait_for 10 grep -q '^File:' "$work/dumpcap" || { cat "$work/dumpcap" >&2; cannot "no capture"; }
}

capture_stop() {
    kill -TERM "$dumpcap_pid" 2>/dev/null || true
    wait "$dumpcap_pid" || true
    dumpcap_pid=
}

# verdicts FILE: how many frames have which verdicts (IP, TCP) on their checksums: 1 is good, 0 bad.
verdicts() {
    tshark -n -r "$1" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE \
        -o tcp.analyze_sequence_numbers:FALSE --disable-protocol http \
        -T fields -E separator=, -e ip.checksum.status -e tcp.checksum.status 2>/dev/null |
        sort | uniq -c | awk '{ print $2, $1 }'
}

count_of() { awk -v key="$1" '$1 == key { n = $2 } END { print n + 0 }' <<<"$2"; }

total_of() { awk '{ n += $2 } END { print n + 0 }' <<<"$1"; }

# checksums_right FILE MIN TEXT: every frame of FILE is good in both, and there are enough.
checksums_right() {
    local seen good total
    seen=$(verdicts "$1")
    good=$(count_of 1,1 "$seen") total=$(total_of "$seen")
    must "$3: $total frames checked by tshark, $((total - good)) with a wrong checksum" \
        test "$good" -eq "$total" -a "$total" -ge "$2"
}

# ---- The cable and the files. ----

ip link set lo up
# Made here, so that both servers join the same device with the same settings; its queue is as long
# as simoom would have it, for the peer too.
ip tuntap add dev "$DEVICE" mode tap
ip link set "$DEVICE" txqueuelen 8192
ip addr add "$HOST/24" dev "$DEVICE"
ip link set "$DEVICE" up

mkdir "$site"
declare -A digests
for bytes in "${SIZES[@]}"; do
    head -c "$bytes" /dev/urandom >"$site/$bytes.bin"
    digest=$(sha256sum <"$site/$bytes.bin")
    digests[$bytes]=${digest%% *}
done

# ---- Requests, beside the peer. ----

step "wrk -t1 -c$CONNECTIONS -d$seconds, $WRK_BYTES bytes, the servers in turns"
printf '%-9s %10s %10s %7s %8s %8s %8s %12s\n' \
    server requests a_second errors not_2xx p50_us p99_us queue_drops
declare -A requests=([simoom]=0 [smoltcp]=0) errors=([simoom]=0 [smoltcp]=0)
not_2xx=0 answers=0 dropped=
for ((round = 0; round < rounds; round++)); do
    for server in smoltcp simoom; do
        start "$server"
        fetch "$WRK_BYTES" || cannot "$server does not serve the right bytes"
        drops=$(queue_drops)
        figures=$(run_wrk "$seconds") || cannot "wrk failed"
        drops=$(($(queue_drops) - drops))
        stop
        read -r count rate connect read write timeout status p50 p99 <<<"$figures"
        lost=$((connect + read + write + timeout))
        requests[$server]=$((requests[$server] + count))
        errors[$server]=$((errors[$server] + lost))
        printf '%-9s %10d %10d %7d %8d %8d %8d %12d\n' \
            "$server" "$count" "$rate" "$lost" "$status" "$p50" "$p99" "$drops"
        if [ "$server" = simoom ]; then
            # Its own count of all answers and of those with 200: wrk leaves 3xx out.
            all=$(sed -n 's/^ *\([0-9]*\) requests on .*/\1/p' "$work/err")
            right=$(sed -n 's/^ *\([0-9]*\)  200 OK$/\1/p' "$work/err")
            not_2xx=$((not_2xx + status + ${all:-0} - ${right:-0}))
            answers=$((answers + ${right:-0}))
            dropped+=$(grep 'dropped' "$work/err" || true)$'\n'
        fi
    done
done
ratio=$(awk -v a="${requests[simoom]}" -v b="${requests[smoltcp]}" 'BEGIN { printf "%.2f", a / b }')
printf 'simoom answered %s times as many requests as smoltcp\n' "$ratio"
printf 'what simoom dropped, by round:\n%s' "$dropped"
must "socket errors of simoom: ${errors[simoom]}" test "${errors[simoom]}" -eq 0
must "answers of simoom that were not 2xx: $not_2xx of $answers" \
    test "$not_2xx" -eq 0 -a "$answers" -ge "${requests[simoom]}"
must "at least as many requests as smoltcp: ${requests[simoom]} to ${requests[smoltcp]}" \
    test "${requests[simoom]}" -ge "${requests[smoltcp]}"

# ---- Checksums under load, files, loss. ----

step "checksums"
start simoom
capture_start "$work/load.pcapng"
run_wrk 4 >/dev/null || cannot "wrk failed"
capture_stop
checksums_right "$work/load.pcapng" "$FRAMES_MIN" "under wrk"
# The check has to be able to fail: the first frames again, with bytes changed at random.
editcap -r -E 0.001 --seed 1 "$work/load.pcapng" "$work/broken.pcapng" 1-1000 2>/dev/null
seen=$(verdicts "$work/broken.pcapng")
must "the same check on 1000 frames with bytes changed finds $((1000 - $(count_of 1,1 "$seen"))) wrong" \
    test "$(count_of 1,1 "$seen")" -lt 1000
rm -f "$work/load.pcapng" "$work/broken.pcapng"

step "files by curl"
must "${#SIZES[@]} sizes from 0 B to 200 MB have the right SHA-256" fetch_each
must "$PARALLEL at once, of all sizes, have the right SHA-256" fetch_parallel

step "files by curl, 1 % lost each way"
nft -f - <<NFT
table ip lossy {
    chain in { type filter hook input priority 0; iifname $DEVICE numgen random mod 100 == 0 counter drop; }
    chain out { type filter hook output priority 0; oifname $DEVICE numgen random mod 100 == 0 counter drop; }
}
NFT
capture_start "$work/loss.pcapng"
must "${#SIZES[@]} sizes from 0 B to 200 MB have the right SHA-256" fetch_each
capture_stop
must "$PARALLEL at once, of all sizes, have the right SHA-256" fetch_parallel
lost_each_way=$(nft list table ip lossy | sed -n 's/.*counter packets \([0-9]*\).*/\1/p' | xargs)
must "frames dropped, to the kernel and from it: $lost_each_way" \
    awk -v n="$lost_each_way" 'BEGIN { split(n, a, " "); exit !(a[1] > 0 && a[2] > 0) }'
nft delete table ip lossy
checksums_right "$work/loss.pcapng" "$FRAMES_MIN" "with loss"
stop
printf 'simoom says:\n'
sed 's/^/      /' "$work/err"

step "the kernel"
wrong=$(kernel_counter TcpInCsumErrors)
segments=$(kernel_counter TcpInSegs)
must "TcpInCsumErrors: ${wrong:-?}, of $segments segments received" test "${wrong:-1}" -eq 0

[ ! -s "$work/curl" ] || { printf '\ncurl said:\n'; sort "$work/curl" | uniq -c; }
step "done"
if [ "$failures" -gt 0 ]; then
    printf '%s of what must hold does not\n' "$failures"
    exit 1
fi
printf 'all that must hold holds\n'
