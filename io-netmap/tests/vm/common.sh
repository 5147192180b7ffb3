#!/bin/sh
# What the scripts of this folder share: content, a server that is watched, a load, and what doctor says.
# Sourced, in the machine that vm.sh boots.

fail() { echo "FAILED: $*"; exit 1; }

# Programs of the host have their paths: busybox's shell prefers its own.

# Nine of ten requests are for the files below 25 KB.
mkdir -p /www/sub
for size in 0 1 700 1460 3000 6000 9000 12000 16000 20000 24999 40000 70000; do
    head -c $size /dev/urandom >/www/$size.bin
done
head -c 1000000 /dev/urandom >/tmp/1000000.bin
cp /site/index.html /www/index.html
cp /site/index.html /www/sub/index.html

server=
# start PORT ADDR/LEN [ARGUMENT...]
start() {
    port=$1; addr=$2; shift 2
    # What the last one said is not what this one says.
    : >/tmp/serving
    : >/tmp/summary
    simoom serve /www --port "$port" --addr "$addr" "$@" >/tmp/serving 2>/tmp/summary &
    server=$!
    tries=0
    until grep -q serving /tmp/serving; do
        tries=$((tries + 1))
        if [ $tries -ge 300 ] || ! runs; then
            fail "no server on $port: $(cat /tmp/summary)"
        fi
        sleep 0.1
    done
    if grep -q 'are not there' /tmp/summary; then cat /tmp/summary; fi
}

# stop SIGNAL: the exit code is the server's.
stop() {
    kill "-$1" "$server"
    ended 2>/dev/null
}

ended() { wait "$server"; }

# Where in the kernel it is, and what it said.
where_it_is() { tail -n 99 "/proc/$server/task/"*/stack /tmp/serving /tmp/summary; }

# Whether the server runs.
runs() { kill -0 "$server" 2>/dev/null; }

finish() {
    stop INT
    code=$?
    cat /tmp/summary
    [ $code = 0 ] || fail "the server ended with $code"
    if grep -q 'wrong checksum\|malformed' /tmp/summary; then fail "the server saw damaged frames"; fi
}

# load WHAT PORT ARGUMENT...
load() {
    what=$1; port=$2; shift 2
    echo "-- $what"
    simoom load --content /www --port "$port" --addr 10.66.0.9/24 --server 10.66.0.2 "$@" ||
        fail "$what: load ended with $?"
}

# examine PORT CODE: what doctor says, and the exit code that it must have.
examine() {
    simoom doctor --port "$1" --content /www --open
    code=$?
    [ $code = "$2" ] || fail "doctor of $1 ended with $code, not $2"
}
