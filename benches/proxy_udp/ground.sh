# Sourced by ./run: the servers, their tables and the arithmetic.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../servers.sh"

caller= trunk=
others() { echo "$caller" "$trunk"; }

command -v sipp >/dev/null || fail "sipp is missing: tests/install sipp=sip-tester"
cc -O2 -Wall -Wextra -o "$work/forward" "$here/forward.c"

# ---- tables: a million numbers in ten groups, all of them the one trunk there is

make_table() {
    local group
    mkdir -p "$work/table"
    {
        cat <<'TOML'
[trunk_group.sbc]
accept_from = ["127.0.0.1"]
dial_plan   = "uk"

[dial_plan.uk]
country_code         = "44"
area_code            = "20"
international_prefix = ["00"]
national_prefix      = "0"
emergency            = ["999", "112"]

[did.all]
file = "dids.csv"

[[rule]]
name     = "Emergency"
called   = ["emergency"]
route_to = ["group-0"]

[[rule]]
name     = "Every DID rings where it is assigned"
called   = ["did:*"]
route_to = ["assigned"]
TOML
        for group in {0..9}; do
            printf '\n[trunk_group.group-%d]\ntrunks = ["trunk-%d"]\n' "$group" "$group"
            printf '\n[trunk.trunk-%d]\naddress = "sip:127.0.0.1:%d"\n' "$group" "$trunk_port"
        done
    } >"$work/table/routing.toml"
    { echo number,trunk_group; rows '+442%09d,group-%d\n'; } >"$work/table/dids.csv"
    # What is dialled: every seventh number, so that neighbours in time are none in the table.
    { echo SEQUENTIAL; rows '+442%09d\n' | awk 'NR % 7 == 1 && kept++ < 100000'; } >"$work/numbers.csv"
}

# ---- servers

start_forward() {
    port[forward]=$(free_port)
    "$work/forward" "${port[forward]}" "$caller_port" "$trunk_port" >"$work/forward.out" 2>&1 &
    started forward $!
}

start_trunkline() {
    port[trunkline]=$(free_port)
    cat >"$work/trunkline.toml" <<TOML
tables        = "table"
workers       = ${WORKERS:-1}
drain_timeout = "1s"

[log]
file      = "log"
decisions = false

[[listen]]
address   = "127.0.0.1:${port[trunkline]}"
transport = "udp"
mode      = "proxy"
TOML
    "$trunkline" run --config "$work/trunkline.toml" >"$work/trunkline.out" 2>&1 &
    started trunkline $!
}

start_kamailio() {
    command -v kamailio >/dev/null || fail "kamailio is missing: apt-get install kamailio (or KAMAILIO=no)"
    port[kamailio]=$(free_port)
    mkdir -p "$work/text"
    cp /usr/share/kamailio/dbtext/kamailio/version "$work/text/version"
    {
        echo 'id(int,auto) tprefix(string) tvalue(string) '
        rows '+442%09d\n' | awk -v port="$trunk_port" '{ print NR ":" $0 ":" port }'
    } >"$work/text/mtree"
    sed -e "s|@PORT@|${port[kamailio]}|; s|@TABLES@|$work/text|; s|@CHILDREN@|2|" \
        "$here/kamailio.cfg.in" >"$work/kamailio.cfg"
    kamailio -DD -E -f "$work/kamailio.cfg" -m 8192 -M 2048 -x tlsf -X tlsf \
        -P "$work/kamailio.pid" -Y "$work" >"$work/kamailio.out" 2>&1 &
    started kamailio $!
    sleep 5
}

label() {
    case $1 in
        forward) echo 'bare forwarder, recvmmsg/sendmmsg' ;;
        trunkline) echo "Trunkline, $dids DIDs" ;;
        kamailio) echo "Kamailio, tm and rr, $dids DIDs in mtree" ;;
    esac
}

# ---- measuring

# Processor time a server has used, in nanoseconds, all threads of all its processes.
processor_ns() {
    local process
    for process in $(processes "$1"); do cat "/proc/$process/task"/*/schedstat; done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}

# Memory of a server in KiB; what its processes share counts once.
memory_kib() {
    local process
    for process in $(processes "$1"); do cat "/proc/$process/smaps_rollup"; done | awk '/^Pss:/ { sum += $2 } END { print sum }'
}

# start_trunk RINGING_MS
start_trunk() {
    sed 's/@TIMEWAIT@/100/' "$root/tests/sipp/called.xml" >"$work/called.xml"
    sipp -i 127.0.0.1 -p "$trunk_port" -sf "$work/called.xml" -nostdin -d "$1" -l 300000 \
        -buff_size 4194304 -deadcall_wait 0 -rtcheck loose >"$work/trunk.out" 2>&1 &
    trunk=$!
    until is_bound "$trunk_port"; do sleep 0.05; done
}

stop_trunk() {
    kill -KILL "$trunk" 2>/dev/null || true
    wait "$trunk" 2>/dev/null || true
    trunk=
}

# start_caller SERVER RATE CALLS [OPTIONS…]: no talk; its statistics go to $work/caller.csv.
start_caller() {
    local routes='s/@ROUTES@/[routes]/'
    if [[ $1 == forward ]]; then routes=/@ROUTES@/d; fi
    sed "$routes" "$root/tests/sipp/call.xml" >"$work/call.xml"
    rm -f "$work/caller.csv"
    sipp "127.0.0.1:${port[$1]}" -i 127.0.0.1 -p "$caller_port" -sf "$work/call.xml" -inf "$work/numbers.csv" \
        -nostdin -r "$2" -m "$3" -l 300000 -d 0 -buff_size 4194304 -deadcall_wait 0 \
        -trace_stat -stf "$work/caller.csv" -fd 1 "${@:4}" >"$work/caller.out" 2>&1 &
    caller=$!
}

finish_caller() {
    wait "$caller" || true
    caller=
}

# counted COLUMN: its last value.
counted() {
    awk -F ';' -v column="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
        END { print at ? $at : "?" }' "$work/caller.csv"
}

median() {
    sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# column SERVER CASE FIELD
column() {
    sed -nE "s/.*\b$3=([0-9.]+).*/\1/p" "$work/$1.$2.line"
}

# measure SERVER CASE RATE CALLS: one line into SERVER.CASE.line.
measure() {
    local before after began=$EPOCHREALTIME
    before=$(processor_ns "$1")
    start_caller "$1" "$3" "$4" -recv_timeout 20000
    finish_caller
    after=$(processor_ns "$1")
    awk -v ns=$((after - before)) -v calls="$(counted 'SuccessfulCall(C)')" -v failed="$(counted 'FailedCall(C)')" \
        -v repeats="$(counted 'Retransmissions(C)')" -v seconds="$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')" \
        'BEGIN { printf "cpu_us=%.2f per_s=%.0f failed=%d repeats=%d\n", ns / 1000 / (calls ? calls : 1), calls / seconds, failed, repeats }' \
        >>"$work/$1.$2.line"
}
