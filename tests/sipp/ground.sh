# Sourced by the acceptance scripts: the ground they stand on.
# Starts one server and one SIPp on loopback, on ports found free, and leaves nothing behind.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
trunkline=$target/release/trunkline
work=$(mktemp -d)
server=
caller=
fast_server=
declare -A sipp=()   # processes of SIPp by name, besides $caller
performances=()      # background parts of a test that end their own processes on TERM

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    if [[ -s $work/server.log ]]; then
        printf -- '--- the end of the log of the server\n' >&2
        tail -n 15 "$work/server.log" >&2
    fi
    exit 1
}

leave() {
    local status=$?
    for process in "${performances[@]}"; do kill -TERM "$process" 2>/dev/null || true; done
    for process in "${performances[@]}"; do wait "$process" 2>/dev/null || true; done
    for process in $caller $server $fast_server ${tunnel:-} "${sipp[@]}"; do
        kill -KILL "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM

[[ -x $trunkline ]] || fail "$trunkline is missing: cargo build --release"
command -v sipp >/dev/null || fail "sipp is missing: apt-get install sip-tester"

# Whether a port is bound for UDP or listens for TCP, on IPv4 or IPv6.
is_bound() {
    grep -qi ":$(printf '%04X' "$1") 00000000" <(awk '{ print $2, $3 }' /proc/net/{udp,udp6,tcp,tcp6} 2>/dev/null)
}

# free_ports COUNT: the first of so many ports in a row that nobody has, be it for a connection
# that is over (TIME_WAIT), and that was not given before, for it may not be bound yet. They
# are below those the system gives to connections.
free_ports() {
    local local_address port first
    declare -A used=()
    while read -r _ local_address _; do
        used[$((16#${local_address##*:}))]=1
    done < <(tail -qn +2 /proc/net/{udp,udp6,tcp,tcp6} 2>/dev/null)
    if [[ -e $work/given_ports ]]; then
        while read -r port; do used[$port]=1; done <"$work/given_ports"
    fi
    for _ in {1..1000}; do
        first=$((20000 + RANDOM % 12000))
        for ((port = first; port < first + $1; port++)); do
            [[ ${used[$port]:-} ]] && continue 2
        done
        seq "$first" $((first + $1 - 1)) >>"$work/given_ports"
        echo "$first"
        return
    done
    fail "no $1 free ports in a row"
}

free_port() { free_ports 1; }

# write_configuration FILE TABLES PORT MODE LOG [KEYS]: KEYS stand at the top, and
# $more_listeners at the end.
write_configuration() {
    cat >"$1" <<TOML
tables = "$2"
${6:-}

[log]
file      = "$5"
decisions = false

[[listen]]
address   = "127.0.0.1:$3"
transport = "udp"
mode      = "$4"

[[listen]]
address   = "127.0.0.1:$3"
transport = "tcp"
mode      = "$4"

${more_listeners:-}
TOML
}

# start_server FOLDER [MODE] [KEYS]: serves the table in FOLDER on $port; as redirect
# server unless MODE says otherwise. KEYS are more of its configuration.
start_server() {
    port=$(free_port)
    write_configuration "$work/trunkline.toml" "$1" "$port" "${2:-redirect}" "$work/server.log" "${3:-}"
    run_server
}

# run_server: as configured; also after one that was killed. With $decisions it logs calls.
run_server() {
    if [[ ${decisions:-} ]]; then sed -i 's/^decisions = false/decisions = true/' "$work/trunkline.toml"; fi
    "$trunkline" run --config "$work/trunkline.toml" >"$work/server.out" 2>&1 &
    server=$!
    await_server "$server" "$port" "$work/server.out"
}

await_server() {
    for _ in {1..600}; do
        is_bound "$2" && return
        kill -0 "$1" 2>/dev/null || fail "the server did not start: $(cat "$3")"
        sleep 0.1
    done
    fail "the server did not open its port within a minute"
}

faketime_library() {
    local library
    for library in /usr/lib/*/faketime/libfaketimeMT.so.1; do
        [[ -e $library ]] && echo "$library" && return
    done
    fail "faketime is missing: tests/install faketime=faketime"
}

# start_fast_server FOLDER SPEED: a proxy on $fast_port whose clock runs so many times faster.
start_fast_server() {
    fast_port=$(free_port)
    more_listeners= write_configuration "$work/fast.toml" "$1" "$fast_port" proxy "$work/fast.log"
    # Not the program `faketime`: it would stand between us and the process.
    LD_PRELOAD=$(faketime_library) FAKETIME="+0 x$2" \
        "$trunkline" run --config "$work/fast.toml" >"$work/fast.out" 2>&1 &
    fast_server=$!
    await_server "$fast_server" "$fast_port" "$work/fast.out"
}

# Ends it as an operator would; anything but exit 0 is a failure.
stop_server() {
    stop_process "$server"
    server=
}

stop_process() {
    local status=0
    kill -TERM "$1"
    wait "$1" || status=$?
    [[ $status == 0 ]] || fail "SIGTERM ended the server with exit $status"
}

# start_calls RATE CALLS NUMBERS: SIPp calls in the background, at most RATE calls a second
# and 50 at a time. With more open calls than a slow machine answers within T1, SIPp would
# measure its own retransmissions.
start_calls() {
    rm -f "$work"/sipp.*
    TERM=${TERM:-dumb} sipp "127.0.0.1:$port" -i 127.0.0.1 -nostdin ${sipp_over:-} -sf "$root/tests/sipp/redirect.xml" \
        -inf "$3" -r "$1" -m "$2" -l 50 -deadcall_wait 0 -buff_size 4194304 \
        -trace_err -error_file "$work/sipp.err" \
        -trace_stat -stf "$work/sipp.csv" -fd 1 >"$work/sipp.out" 2>&1 &
    caller=$!
}

# Waits for SIPp to end and leaves its exit status in $calls_status: 0 means that every
# call had the answer it was told to expect.
finish_calls() {
    calls_status=0
    wait "$caller" || calls_status=$?
    caller=
}

# The same, and any call that had not is a failure of the test.
finish_calls_well() {
    finish_calls
    if [[ $calls_status != 0 ]]; then
        grep -m 5 -aE "Failed regexp|unexpected|Regexp matched|timeout" "$work/sipp.err" >&2 2>/dev/null || true
        fail "SIPp ended with exit $calls_status, $(counted 'FailedCall(C)') calls failed"
    fi
}

# counted COLUMN [NAME]: the last value of a column of the statistics of SIPp.
counted() {
    awk -F ';' -v column="$1" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
        END { print at ? $at : "?" }' "$work/${2:-sipp}.csv"
}

# ---- complete calls through a proxy: call.xml and called.xml

# start_trunk NAME PORT RINGING_MS TIMEWAIT_MS [OPTIONS…]: a trunk that answers every call;
# with $unheard it does not say that it rings.
start_trunk() {
    local name=$1 at=$2
    sed "s/@TIMEWAIT@/$4/" "$root/tests/sipp/called.xml" |
        awk -v unheard="${unheard:-}" '
            unheard && /<send>/ && !sent { sent = skip = 1 }
            !skip
            /<\/send>/ { skip = 0 }' >"$work/$name.xml"
    # It writes its counts to the folder it stands in.
    (cd "$work" && TERM=${TERM:-dumb} exec sipp -i 127.0.0.1 -p "$at" -sf "$name.xml" -nostdin -d "$3" -l 1000000 \
        -buff_size 4194304 -deadcall_wait 0 -trace_counts -fd 1 "${@:5}" >"$work/$name.out" 2>&1) &
    sipp[$name]=$!
    for _ in {1..200}; do
        if is_bound "$at"; then return; fi
        sleep 0.02
    done
    fail "the trunk $name did not open its port"
}

# start_caller NAME RATE CALLS TALK_MS [OPTIONS…]: calls numbers of $work/numbers.csv. With
# $goodbye_ms it is content with a BYE that is not answered for so long.
start_caller() {
    local name=$1
    rm -f "$work/$name.csv"
    sed 's/@ROUTES@/[routes]/' "$root/tests/sipp/call.xml" >"$work/$name.xml"
    if [[ ${goodbye_ms:-} ]]; then
        sed -i "s|rtd=\"goodbye\"/>|rtd=\"goodbye\" timeout=\"$goodbye_ms\" ontimeout=\"over\"/>|" "$work/$name.xml"
    fi
    TERM=${TERM:-dumb} sipp "127.0.0.1:$port" -i 127.0.0.1 -sf "$work/$name.xml" -inf "$work/numbers.csv" \
        -nostdin -r "$2" -m "$3" -l 1000000 -d "$4" -buff_size 4194304 -deadcall_wait 0 \
        -trace_stat -stf "$work/$name.csv" -fd 1 -trace_err -error_file "$work/$name.err" \
        "${@:5}" >"$work/$name.out" 2>&1 &
    sipp[$name]=$!
}

# finish_sipp NAME: waits for its end; $sipp_status is 0 if all its calls were good.
finish_sipp() {
    sipp_status=0
    wait "${sipp[$1]}" || sipp_status=$?
    unset "sipp[$1]"
}

end_sipp() {
    kill -KILL "${sipp[$1]}" 2>/dev/null || true
    wait "${sipp[$1]}" 2>/dev/null || true
    unset "sipp[$1]"
}

# make_proxy_table FOLDER NAME TIMEOUT PORTS…: a thousand numbers of ten groups, each with a
# trunk at every port, tried in this order. NAME tells tables apart.
make_proxy_table() {
    local group at count=$(($# - 3)) names
    mkdir -p "$1"
    {
        cat <<TOML
[trunk_group.sbc]
accept_from = ["127.0.0.1"]
dial_plan   = "uk"

[dial_plan.uk]
country_code         = "44"
international_prefix = ["00"]
national_prefix      = "0"
emergency            = ["999"]

[alternative_routing.patience]
next_route_on = ["trunk-timeout", "transport-error", "408", "5xx"]
trunk_timeout = "$3"

[did.all]
file = "dids.csv"

[[rule]]
name     = "Emergency"
called   = ["emergency"]
route_to = ["group-0"]

[[rule]]
name     = "$2"
called   = ["did:*"]
route_to = ["assigned"]
TOML
        for group in {0..9}; do
            names=$(seq -f "\"trunk-$group-%g\"" -s ', ' "$count")
            printf '\n[trunk_group.group-%s]\nalternative_routing = "patience"\ntrunks = [%s]\n' "$group" "$names"
            at=0
            for to in "${@:4}"; do
                at=$((at + 1))
                printf '\n[trunk.trunk-%s-%s]\naddress = "sip:127.0.0.1:%s"\n' "$group" "$at" "$to"
            done
        done
    } >"$1/routing.toml"
    awk -v count=1000 'BEGIN {
        print "number,trunk_group"
        for (i = 0; i < count; i++) printf "+44207946%04d,group-%d\n", i, i % 10
    }' >"$1/dids.csv"
    awk -v count=1000 'BEGIN { print "SEQUENTIAL"; for (i = 0; i < count; i++) printf "+44207946%04d\n", i * 7 % count }' \
        >"$work/numbers.csv"
}

# serve FOLDER: makes $work/table lead to it, in one step, as a deployment would.
serve() {
    ln -sfn "$1" "$work/table.next"
    mv -T "$work/table.next" "$work/table"
}

# How many reloads the log tells of.
reloads() {
    grep -cE 'reload (gen|refused)' "$work/server.log" || true
}

# reload: SIGHUP, then waits until the log tells how it went; that line is in $told.
reload() {
    local before
    before=$(reloads)
    kill -HUP "$server"
    for _ in {1..3000}; do
        if (($(reloads) > before)); then
            told=$(grep -E 'reload (gen|refused)' "$work/server.log" | tail -n 1)
            return
        fi
        kill -0 "$server" 2>/dev/null || fail "the server died during a reload"
        sleep 0.02
    done
    fail "the log did not tell of a reload within a minute"
}

# The generation that serves, by the last reload: "gen 3->4" is 4, "gen 3 kept" is 3.
generation() {
    sed -nE 's/.*gen ([0-9]+->)?([0-9]+).*/\2/p' <<<"$told"
}

# Resident memory of the server in MiB.
resident() {
    awk '/^VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$server/status"
}

# Processor time the server has used, in milliseconds.
processor_ms() {
    awk -v hertz="$(getconf CLK_TCK)" '{ printf "%d", ($14 + $15) * 1000 / hertz }' "/proc/$server/stat"
}

milliseconds() {
    date +%s%3N
}

# make_table FOLDER SHIFT [COUNT]: a table of COUNT numbers (1,000) that go to ten trunk
# groups; SHIFT moves every number that many groups on.
make_table() {
    mkdir -p "$1"
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
extensions           = [{ digits = 4, first = "0", prefix = "+44207946" }]
emergency            = ["999", "112"]

[manipulation.national]
called = [{ prefix = "+44", strip = 3, prepend = "0" }, { prefix = "+", strip = 1, prepend = "00" }]

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
            printf '\n[trunk_group.group-%s]\ntrunks = ["trunk-%s"]\n' "$group" "$group"
            if ((group % 3 == 1)); then echo 'outbound = ["national"]'; fi
            printf '\n[trunk.trunk-%s]\n' "$group"
            printf 'address = "sip:;tgrp=label-%s;trunk-context=byoc.example.net@platform-%s.route;user=phone"\n' \
                "$group" "$group"
        done
    } >"$1/routing.toml"
    awk -v shift="$2" -v count="${3:-1000}" -f "$root/tests/sipp/numbers.awk" -v what=rows >"$1/dids.csv"
}

# make_numbers FILE SHIFT OTHER_SHIFT [COUNT]: what SIPp dials and what it must be told.
make_numbers() {
    awk -v shift="$2" -v other="$3" -v count="${4:-1000}" -v what=calls \
        -f "$root/tests/sipp/numbers.awk" >"$1"
}
