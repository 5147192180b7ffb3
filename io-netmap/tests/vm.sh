#!/usr/bin/env bash
# Boots a kernel that has netmap and runs the live tests in it. The kernel and the netmap module are
# yours; this repository has neither.
#
#   SIMOOM_VM_KERNEL    the kernel: a bzImage, run under QEMU, or a User-Mode Linux executable
#   SIMOOM_NETMAP_KO    netmap.ko, built for that kernel
#   SIMOOM_VM_MODULES   further modules, loaded first, in this order (veth, sch_netem, ...)
#   SIMOOM_VM_DRIVERS   drivers that netmap was built into, loaded after it
#   SIMOOM_VM_NETMAP    parameters of netmap.ko: "admode=1 buf_num=32768"
#   SIMOOM_VM_NIC       QEMU's name of a NIC (e1000, igb, virtio-net-pci,tx=timer): the machine has two,
#                       with a cable between them
#   SIMOOM_VM_QEMU      further arguments for QEMU
#   SIMOOM_VM_SECONDS   how long the machine may run; 900
#   SIMOOM_VM_MEMORY    its memory; 1024M
#   SIMOOM_VM_RELEASE   1: optimised programs
#   SIMOOM_VM_LOGS      a directory for the logs that `turn-logs` records
#   SIMOOM_VM_SANITIZER address: programs of nightly Rust with that sanitizer, linked dynamically
#   SIMOOM_VM_ENV       more of NAME=VALUE for the programs in the machine
#   SIMOOM_VM_LIVE, SIMOOM_VM_SIMOOM   programs that are built already, instead of building them
#
# Arguments say what to run, in turn: `suite` (the live test suite; what runs where nothing is said),
# `serve` (server and load generator over a pipe and a switch, the kernel's clients over a pair of
# interfaces; see vm/serve.sh), `host` (the stack and the kernel on one interface; see vm/host.sh),
# `turn-logs` (turns of a server logged, and played over every port; see vm/turn-logs.sh), `native` (all of
# it over the two NICs; see vm/native.sh), or a file with a
# shell script of your own.
#
# The exit code is that of what ran in the machine: 0, or that of the first thing that failed; 77
# where nothing can run for want of a kernel or a module, 124 where the time was over.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

skip() { echo "skipped: $*"; exit 77; }
fail() { echo "vm.sh: $*" >&2; exit 1; }

kernel=${SIMOOM_VM_KERNEL:-}
netmap=${SIMOOM_NETMAP_KO:-}
[ -n "$kernel" ] || skip "SIMOOM_VM_KERNEL names no kernel to boot"
[ -n "$netmap" ] || skip "SIMOOM_NETMAP_KO names no netmap.ko built for that kernel"
read -ra modules <<<"${SIMOOM_VM_MODULES:-}"
read -ra drivers <<<"${SIMOOM_VM_DRIVERS:-}"
for file in "$kernel" "$netmap" ${modules[@]+"${modules[@]}"} ${drivers[@]+"${drivers[@]}"}; do
    [ -r "$file" ] || fail "$file: no such file"
done
seconds=${SIMOOM_VM_SECONDS:-900}
memory=${SIMOOM_VM_MEMORY:-1024M}
[ $# -gt 0 ] || set -- suite
command -v busybox >/dev/null || fail "busybox is missing: apt-get install busybox-static"

# User-Mode Linux is a program, everything else is for a (virtual) machine.
if [ "$(head -c 4 "$kernel" | od -An -c | tr -d ' ')" = '177ELF' ]; then
    machine=uml
elif [ "$(dd if="$kernel" bs=1 skip=514 count=4 2>/dev/null)" = HdrS ]; then
    machine=qemu
    command -v qemu-system-x86_64 >/dev/null ||
        fail "$kernel is a bzImage and there is no QEMU: apt-get install qemu-system-x86"
else
    fail "$kernel is neither a bzImage nor a User-Mode Linux executable"
fi

# Programs of this project, linked statically: the machine has no libraries of its own. A sanitizer needs
# them, and they go along.
triple=$(rustc -vV | sed -n 's/^host: //p')
options=()
[ "${SIMOOM_VM_RELEASE:-}" != 1 ] || options=(--release)
case ${SIMOOM_VM_SANITIZER:-} in
'') toolchain=() flags='-C target-feature=+crt-static' ;;
address) toolchain=(+nightly) flags='-Zsanitizer=address' options+=(--target-dir target/sanitized) ;;
*) fail "SIMOOM_VM_SANITIZER is ${SIMOOM_VM_SANITIZER}: only address is known" ;;
esac
build() {
    (cd "$root" && RUSTFLAGS=$flags cargo ${toolchain[@]+"${toolchain[@]}"} "$@" --locked --quiet \
        --target "$triple" ${options[@]+"${options[@]}"} --message-format=json |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
}
live=${SIMOOM_VM_LIVE:-$(build test -p simoom-netmap --test live --no-run)}
simoom=${SIMOOM_VM_SIMOOM:-}
case " $* " in
*" serve "* | *" host "* | *" turn-logs "* | *" native "*) simoom=${simoom:-$(build build -p simoom)} ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
files=$work/root
mkdir -p "$files"/{bin,dev,proc,sys,tmp,run,etc,lib/modules,var/run/netns}

# A program and whatever libraries it asks for.
add_program() {
    local program
    program=$(command -v "$1") || return 1
    cp -L "$program" "$files/bin/${2:-$1}"
    for library in $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || true); do
        mkdir -p "$files$(dirname "$library")"
        cp -L "$library" "$files$library"
    done
}
add_program busybox
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$files/bin/$applet"
done
# What the host has of these is used; without them, what needs them is skipped with a message.
for program in ip tc nft ethtool curl wrk; do
    command -v "$program" >/dev/null || continue
    rm -f "$files/bin/$program" # busybox's own, if it has one
    add_program "$program" || true
done
add_program "$live" live
[ -z "$simoom" ] || add_program "$simoom" simoom
[ -z "$simoom" ] || cp -r "$root/cli/site" "$files/site"
cp "$here"/vm/* "$files/"
mkdir "$files/scenarios"
cp "$root"/sim-scenarios/*.toml "$files/scenarios/"
load=
add_module() {
    cp "$1" "$files/lib/modules/"
    load+="insmod /lib/modules/$(basename "$1") ${2:-} || exit 1"$'\n'
}
for module in ${modules[@]+"${modules[@]}"}; do add_module "$module"; done
add_module "$netmap" "${SIMOOM_VM_NETMAP:-}"
for module in ${drivers[@]+"${drivers[@]}"}; do add_module "$module"; done
steps=
for what in "$@"; do
    case $what in
    suite) script='live --test-threads=1 --nocapture' ;;
    serve | host | turn-logs | native) script="sh /$what.sh" ;;
    *)
        [ -r "$what" ] || fail "$what: neither suite, serve, host, turn-logs, native nor a script"
        cp "$what" "$files/$(basename "$what")" && script="sh /$(basename "$what")"
        ;;
    esac
    steps+="echo '== $what'; $script; code=\$?; [ \$code = 0 ] || exit \$code"$'\n'
done
cat >"$files/run.sh" <<RUN
$load
echo "kernel \$(uname -r) \$(uname -m), $machine; \$(dmesg | grep -o 'netmap: loaded.*' | head -1), $(sha256sum <"$netmap" | cut -c1-12)"
export SIMOOM_REQUIRE_NETMAP=1 ${SIMOOM_VM_ENV:-}
$steps
RUN
cat >"$files/init" <<'INIT'
#!/bin/sh
export PATH=/bin HOME=/ TMPDIR=/tmp
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null || mdev -s
mkdir -p /dev/shm /dev/pts
ip link set lo up
sh /run.sh
echo "vm-exit-code $?"
poweroff -f
INIT
chmod +x "$files/init"
(cd "$files" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initrd.gz"

log=$work/log
case $machine in
uml)
    command=("$kernel" "mem=$memory" "initrd=$work/initrd.gz" con=null "con0=fd:0,fd:1" quiet)
    ;;
qemu)
    # Without the check of the timer, which fails where the host is too busy to tick.
    command=(qemu-system-x86_64 -kernel "$kernel" -initrd "$work/initrd.gz" -m "$memory" -smp 2
        -append "console=ttyS0 quiet panic=-1 no_timer_check" -nographic -no-reboot -nodefaults -serial stdio)
    if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
        command+=(-enable-kvm -cpu host)
    fi
    if [ -n "${SIMOOM_VM_NIC:-}" ]; then
        for end in 1 2; do
            command+=(-netdev "hubport,id=end$end,hubid=1"
                -device "$SIMOOM_VM_NIC,netdev=end$end,addr=$((4 * end)),romfile=,mac=02:00:00:00:00:0$end")
        done
    fi
    read -ra more <<<"${SIMOOM_VM_QEMU:-}"
    command+=(${more[@]+"${more[@]}"})
    ;;
esac
code=0
# A recorded log is for whoever asked for it.
timeout --kill-after=10 "$seconds" "${command[@]}" </dev/null 2>&1 | tee "$log" | grep --line-buffered -v '^turn-log ' ||
    code=$?
if [ -n "${SIMOOM_VM_LOGS:-}" ]; then
    mkdir -p "$SIMOOM_VM_LOGS"
    for name in $(sed -n 's/^turn-log \([a-z-]*\.turnlog\) .*/\1/p' "$log" | sort -u); do
        sed -n "s/^turn-log $name \([A-Za-z0-9+/=]*\).*/\1/p" "$log" | base64 -d >"$SIMOOM_VM_LOGS/$name"
    done
fi
said=$(sed -n 's/^vm-exit-code \([0-9]*\).*/\1/p' "$log" | tail -1)
[ -z "$said" ] || exit "$said"
[ "$code" != 124 ] || echo "vm.sh: the machine did not end within $seconds seconds" >&2
[ "$code" != 0 ] || code=1
exit "$code"
