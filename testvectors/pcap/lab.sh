# The lab of make.sh: its namespaces, the path between them, captures and what they have to hold.
# Sourced by it, within namespaces that are the lab's alone; `lab`, `out`, `here` and `simoom` are set.
# Knows no scenario.
# shellcheck shell=bash disable=SC2154

at() { ip netns exec "$@"; }
kernel() { at "$1" sysctl -q -w "$2"; }
die() { echo "$scenario: $*" >&2; exit 1; }

make_content() {
    mkdir -p "$lab/www"
    for kb in 1 8 24 64 200; do
        # Head ends the pipe: seq's fate is of no interest.
        (set +o pipefail; seq -f 'line %06.0f of an object for captures' 1 9999 |
            head -c $((kb * 1000)) >"$lab/www/${kb}k.txt")
    done
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
        -subj /CN=server.example -keyout "$lab/key.pem" -out "$lab/cert.pem" 2>/dev/null
    cat >"$lab/nginx.conf" <<CONF
daemon off; user root; worker_processes 1; pid $lab/nginx.pid; error_log $lab/nginx-error.log;
events { worker_connections 1024; }
http {
    access_log off; server_tokens off; keepalive_timeout 60s; sendfile on; tcp_nopush off;
    types { text/plain txt; }
    client_body_temp_path $lab/nginx-body; proxy_temp_path $lab/nginx-proxy;
    fastcgi_temp_path $lab/nginx-f; uwsgi_temp_path $lab/nginx-u; scgi_temp_path $lab/nginx-s;
    client_max_body_size 10m;
    server {
        listen 80; listen [::]:80; listen 8080; listen 49152;
        listen 443 ssl http2; ssl_certificate $lab/cert.pem; ssl_certificate_key $lab/key.pem;
        root $lab/www;
        location /upload { client_body_buffer_size 1m; proxy_pass http://127.0.0.1:81; }
        location /behind/ { proxy_pass http://192.0.2.1:8000/; }
    }
    server { listen 127.0.0.1:81; location / { return 204; } }
}
CONF
}

lab_up() {
    for ns in client router server; do
        ip netns add $ns
        kernel $ns net.ipv6.conf.all.disable_ipv6=1
        kernel $ns net.ipv6.conf.default.disable_ipv6=1
        at $ns ip link set lo up
        kernel $ns net.ipv4.tcp_rmem="4096 131072 6291456"
        kernel $ns net.ipv4.tcp_wmem="4096 16384 4194304"
        kernel $ns net.ipv4.tcp_early_retrans=3
        kernel $ns net.ipv4.tcp_recovery=1
        # Not in every kernel by namespace; the default is what is meant.
        kernel $ns net.ipv4.tcp_no_metrics_save=1 2>/dev/null || true
    done
    kernel router net.ipv4.ip_forward=1
    ip link add r1 netns router address 02:00:00:00:00:03 type veth \
        peer name eth0 netns server address 02:00:00:00:00:04
    at router ip link set r1 up
    at router ip addr add 192.0.2.1/24 dev r1
    at server ip link set eth0 up
    at server ip addr add 192.0.2.2/24 dev eth0
    server_route cubic
    at router ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:04 dev r1
    at server ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:03 dev eth0
    offload server eth0 off
    offload router r1 off
    at router nft 'add table inet path; add chain inet path forward { type filter hook forward priority 0; }'
    at server nginx -c "$lab/nginx.conf" -p "$lab" 2>>"$lab/nginx-error.log" &
    nginx=$!
    until at server curl -s -o /dev/null http://127.0.0.1/1k.txt; do sleep 0.05; done
}

# The congestion controller comes with the route: the sysctl of a namespace takes only those that
# the machine allows to everybody.
server_route() { at server ip route replace default via 192.0.2.1 congctl "$1"; }

lab_down() {
    captured
    kill ${nginx:-} ${relay:-} ${helpers[@]+"${helpers[@]}"} 2>/dev/null || true
    wait ${nginx:-} ${relay:-} ${helpers[@]+"${helpers[@]}"} 2>/dev/null || true
    relay='' helpers=()
    for ns in client router server; do ip netns del $ns 2>/dev/null || true; done
    # The veth pair goes with its namespace, a moment later.
    sleep 0.1
}

# The frames as TCP cuts them (off), or as it hands them to the device (on).
offload() { at "$1" ethtool -K "$2" tso "$3" gso "$3" gro "$3" tx-checksum-ip-generic "$3" >/dev/null; }

# Joins client and router by the link on standard input.
path() {
    { echo '[link]'; cat; } >"$lab/link.toml"
    "$simoom" relay --a tap:left --b tap:right --link "$lab/link.toml" --seed "${seed:-1}" \
        >"$lab/relay.txt" 2>&1 &
    relay=$!
    for _ in $(seq 100); do
        if ip link show right >/dev/null 2>&1 && ip link show left >/dev/null 2>&1; then break; fi
        sleep 0.05
    done
    sleep 0.1
    ip link set left netns client name eth0 address 02:00:00:00:00:01
    ip link set right netns router name r0 address 02:00:00:00:00:02
    at client ip addr add 198.51.100.2/24 dev eth0
    at client ip link set eth0 up
    at router ip addr add 198.51.100.1/24 dev r0
    at router ip link set r0 up
    at client ip route add default via 198.51.100.1 congctl cubic
    at client ip neigh replace 198.51.100.1 lladdr 02:00:00:00:00:02 dev eth0
    at router ip neigh replace 198.51.100.2 lladdr 02:00:00:00:00:01 dev r0
}

# IPv6 on the devices that are there, without the packets that it sends on its own.
ipv6_up() {
    local ns dev address gateway
    while read -r ns dev address gateway; do
        kernel "$ns" net.ipv6.conf.$dev.accept_dad=0
        kernel "$ns" net.ipv6.conf.$dev.accept_ra=0
        kernel "$ns" net.ipv6.conf.$dev.disable_ipv6=0
        at "$ns" ip addr add "$address/64" dev "$dev" nodad
        [ -z "$gateway" ] || at "$ns" ip -6 route add default via "$gateway" congctl cubic
    done <<DEVICES
client eth0 2001:db8:1::2 2001:db8:1::1
router r0 2001:db8:1::1
router r1 2001:db8:2::1
server eth0 2001:db8:2::2 2001:db8:2::1
DEVICES
    kernel router net.ipv6.conf.all.forwarding=1
    at client ip neigh replace 2001:db8:1::1 lladdr 02:00:00:00:00:02 dev eth0
    at router ip neigh replace 2001:db8:1::2 lladdr 02:00:00:00:00:01 dev r0
    at router ip neigh replace 2001:db8:2::2 lladdr 02:00:00:00:00:04 dev r1
    at server ip neigh replace 2001:db8:2::1 lladdr 02:00:00:00:00:03 dev eth0
    sleep 1.5
}

# Drops in the router what the nftables expression matches.
lose() { at router nft "add rule inet path forward $* drop"; }

# capture NAMESPACE DEVICE FILE [tcpdump's arguments]: until `captured`.
capture() {
    local ns=$1 dev=$2 file=$3 errors
    shift 3
    errors=$lab/capture-${#captures[@]}.txt
    : >"$errors"
    ip netns exec "$ns" tcpdump -Z root --immediate-mode -U -n -i "$dev" -w "$out/$file" "$@" 2>"$errors" &
    captures+=($!)
    until grep -q 'listening on' "$errors"; do
        kill -0 "${captures[-1]}" 2>/dev/null || die "tcpdump: $(cat "$errors")"
        sleep 0.02
    done
}

# capture_ng NAMESPACE FILE DEVICE...: pcapng by dumpcap, nanoseconds, an interface a device.
capture_ng() {
    local ns=$1 file=$2 errors dev
    local -a devices=()
    shift 2
    for dev in "$@"; do devices+=(-i "$dev"); done
    errors=$lab/capture-${#captures[@]}.txt
    : >"$errors"
    ip netns exec "$ns" dumpcap -q "${devices[@]}" -w "$out/$file" 2>"$errors" &
    captures+=($!)
    pcapng+=("$out/$file")
    until grep -q 'File:' "$errors"; do
        kill -0 "${captures[-1]}" 2>/dev/null || die "dumpcap: $(cat "$errors")"
        sleep 0.02
    done
    sleep 0.3
}

captured() {
    [ ${#captures[@]} -gt 0 ] || return 0
    sleep 0.6
    kill -INT "${captures[@]}" 2>/dev/null || true
    wait "${captures[@]}" || true
    captures=()
    # Which machine it was is nobody's business.
    for file in ${pcapng[@]+"${pcapng[@]}"}; do
        python3 "$here/formats.py" strip-host "$file"
        chmod 644 "$file"
    done
    pcapng=()
}

fetch() { at client curl -sS -k --max-time 60 --http1.1 -o /dev/null "$@"; }
fetch_all() { local url; for url in "$@"; do fetch "$url"; done; }
peer() { local ns=$1; shift; at "$ns" python3 "$here/peers.py" "$@"; }
# In the background; `$!` is the process itself, for lab_down.
helper() { local ns=$1; shift; ip netns exec "$ns" python3 "$here/peers.py" "$@" & helpers+=($!); sleep 0.4; }

# The stream offset of the last byte of the response to curl's request for a path.
last_byte() {
    local lengths
    lengths=$(at server curl -s -o /dev/null -w '%{size_header} %{size_download}' "http://127.0.0.1/$1")
    echo $((${lengths% *} + ${lengths#* } - 1))
}

# holds FILE FILTER MIN [MAX]: so many frames match, or the scenario is run again.
holds() {
    local count
    count=$(tshark -n -r "$out/$1" -Y "$2" 2>/dev/null | wc -l)
    if [ "$count" -lt "$3" ] || [ "$count" -gt "${4:-1000000}" ]; then
        die "$1: $count frames match '$2', not $3..${4:-}"
    fi
}
