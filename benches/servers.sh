# Sourced by the grounds of benches that measure servers beside each other: ports, starting,
# stopping, processor time. Expects $here, the folder of the bench.
# Everything is on loopback, on ports found free, and ends with the script.

set -euo pipefail

root=$(cd "$here/../.." && pwd)
# PROFILE=dist: as packages are built.
trunkline=${CARGO_TARGET_DIR:-$root/target}/${PROFILE:-release}/trunkline
work=$(mktemp -d)
dids=${DIDS:-1000000}
servers=()
declare -A port=() pid=()
# Processes besides the servers; a bench that has some says which.
others() { :; }

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

leave() {
    local status=$? process
    # Some may have ended by themselves.
    for process in $(others); do
        kill -TERM "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    stop_servers
    rm -rf "$work"
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM

[[ -x $trunkline ]] || fail "$trunkline is missing: cargo build --release"

is_bound() {
    grep -qi ":$(printf '%04X' "$1") 0" /proc/net/udp
}

free_port() {
    local candidate
    for _ in {1..100}; do
        candidate=$((20000 + RANDOM % 12000))
        if ! grep -qi ":$(printf '%04X' "$candidate") " /proc/net/udp /proc/net/udp6; then
            echo "$candidate"
            return
        fi
    done
    fail "no free UDP port"
}

# started NAME PID: waits until it serves.
started() {
    pid[$1]=$2
    servers+=("$1")
    for _ in {1..1200}; do
        if is_bound "${port[$1]}"; then return; fi
        kill -0 "$2" 2>/dev/null || fail "$1 did not start: $(tail -n 5 "$work/$1.out")"
        sleep 0.1
    done
    fail "$1 did not open its port within two minutes"
}

stop_servers() {
    local server
    # One that has died has been told of where it was missed.
    for server in "${servers[@]}"; do kill -TERM "${pid[$server]}" 2>/dev/null || true; done
    for server in "${servers[@]}"; do
        wait "${pid[$server]}" 2>/dev/null || true
        unset "pid[$server]"
    done
    servers=()
}

# rows FORM: one line per DID; %1$s is its number, %2$d its group.
rows() {
    awk -v count="$dids" -v form="$1" 'BEGIN {
        for (i = 0; i < count; i++) printf form, i * 2654435761 % 1000000000, i % 10
    }'
}

# processes NAME: those whose processor time and memory count: its own, and theirs.
processes() {
    family "${pid[$1]}"
}

family() {
    local child
    echo "$1"
    # pgrep fails where there are none.
    for child in $(pgrep -P "$1" || true); do family "$child"; done
}
