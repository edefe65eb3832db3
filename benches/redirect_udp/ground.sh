# Sourced by ./run: the servers, their tables and the arithmetic.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../servers.sh"

paced_rate=20000
cc -O2 -Wall -Wextra -o "$work/load" "$here/load.c"

# Pinned to a processor of their own, where there are two. As words in front of a command,
# so that what runs in the background is the command and not a shell.
if (($(nproc) > 1)); then
    on_servers=(taskset -c 0)
    on_caller=(taskset -c 1)
else
    on_servers=()
    on_caller=()
fi

# ---- tables

# make_table FOLDER NAME: NAME is the name of its rule, so that two tables differ.
make_table() {
    mkdir -p "$1"
    cat >"$1/routing.toml" <<TOML
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
name     = "$2"
called   = ["did:*"]
route_to = ["assigned"]
TOML
    local group
    for group in {0..9}; do
        cat >>"$1/routing.toml" <<TOML

[trunk_group.group-$group]
trunks = ["trunk-$group"]

[trunk.trunk-$group]
address = "sip:;tgrp=label-$group;trunk-context=byoc.example.net@platform-$group.route;user=phone"
TOML
    done
}

make_tables() {
    make_table "$work/monday" "DIDs of Monday"
    make_table "$work/tuesday" "DIDs of Tuesday"
    { echo number,trunk_group; rows '+442%09d,group-%d\n'; } >"$work/monday/dids.csv"
    ln "$work/monday/dids.csv" "$work/tuesday/dids.csv"
}

# ---- servers

start_echo() {
    port[echo]=$(free_port)
    "${on_servers[@]}" "$work/load" echo "${port[echo]}" "$(answer_bytes)" >"$work/echo.out" 2>&1 &
    started echo $!
}

# What Trunkline's answer to the load's INVITE is long: asked of it once.
answer_bytes() {
    echo 431
}

# start_trunkline NAME FOLDER WHERE: decisions are logged by the one named "on".
start_trunkline() {
    port[$1]=$(free_port)
    mkdir -p "$2"
    ln -sfn "$work/monday" "$2/table"
    cat >"$2/trunkline.toml" <<TOML
tables  = "table"
workers = 1

[log]
file      = "log"
decisions = $([[ $1 == on ]] && echo true || echo false)

[[listen]]
address   = "127.0.0.1:${port[$1]}"
transport = "udp"
mode      = "redirect"
TOML
    local where=()
    if [[ $3 != free ]]; then where=("${on_servers[@]}"); fi
    "${where[@]}" "$trunkline" run --config "$2/trunkline.toml" >"$work/$1.out" 2>&1 &
    started "$1" $!
}

start_kamailio() {
    command -v kamailio >/dev/null || fail "kamailio is missing: apt-get install kamailio (or KAMAILIO=no)"
    port[kamailio]=$(free_port)
    mkdir -p "$work/text"
    cp /usr/share/kamailio/dbtext/kamailio/version "$work/text/version"
    {
        echo 'id(int,auto) tprefix(string) tvalue(string) '
        rows '+442%09d:%d\n' | awk '{ print NR ":" $0 }'
    } >"$work/text/mtree"
    sed -e "s|@PORT@|${port[kamailio]}|; s|@TABLES@|$work/text|; s|@WORK@|$work|" \
        "$here/kamailio.cfg.in" >"$work/kamailio.cfg"
    "${on_servers[@]}" kamailio -DD -E -f "$work/kamailio.cfg" -m 4096 -M 2048 -x tlsf -X tlsf \
        -P "$work/kamailio.pid" -Y "$work" >"$work/kamailio.out" 2>&1 &
    started kamailio $!
    for _ in {1..1200}; do
        if "$work/load" call "${port[kamailio]}" --window 1 --seconds 0.1 >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "kamailio does not answer 302: $(tail -n 5 "$work/kamailio.out")"
}

# ---- measuring

# call NAME CASE OPTIONS...: one round; its line goes to NAME.CASE.line.
call() {
    local server=$1 case=$2 cpu=() process
    shift 2
    for process in $(processes "$server"); do cpu+=(--cpu "$process"); done
    if [[ $server == echo ]]; then cpu+=(--any); fi
    "${on_caller[@]}" "$work/load" call "${port[$server]}" --seconds "$seconds" --dids "$dids" "$@" "${cpu[@]}" \
        >>"$work/$server.$case.line" || true
}

# column NAME CASE FIELD: all values of a field, one a line.
column() {
    sed -nE "s/.*\b$3=([0-9.]+).*/\1/p" "$work/$1.$2.line"
}

median() {
    sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

total() {
    awk '{ sum += $1 } END { print sum + 0 }'
}

answers_cost() {
    local server case
    printf '\n| server | load | CPU µs per answer | × echo [least, most] | answers/s | p99 ms | lost | wrong |\n'
    printf '|---|---|---|---|---|---|---|---|\n'
    for case in saturated paced; do
        for server in "${servers[@]}"; do
            printf '| %s | %s | %.2f | %s | %.0f | %.2f | %d | %d |\n' "$(label "$server")" "$case" \
                "$(column "$server" $case cpu_us | median)" "$(ratios "$server" $case)" \
                "$(column "$server" $case per_s | median)" \
                "$(column "$server" $case p99_us | median | awk '{ print $1 / 1000 }')" \
                "$(column "$server" $case lost | total)" "$(column "$server" $case wrong | total)"
        done
    done
    if [[ -e $work/kamailio.saturated.line ]]; then
        printf '\nTrunkline, decisions off / Kamailio: %s saturated, %s paced\n' \
            "$(ratio_to kamailio saturated)" "$(ratio_to kamailio paced)"
    fi
}

label() {
    case $1 in
        echo) echo 'bare echo, recvmmsg/sendmmsg' ;;
        off) echo 'Trunkline, decisions not logged' ;;
        on) echo 'Trunkline, decisions logged' ;;
        kamailio) echo 'Kamailio, two children' ;;
    esac
}

# The ratio to the echo of the same round: median [least, most].
ratios() {
    paste <(column "$1" "$2" cpu_us) <(column echo "$2" cpu_us) | awk '{ print $1 / $2 }' | sort -g |
        awk '{ v[NR] = $1 } END { printf "%.2f [%.2f, %.2f]", v[int((NR + 1) / 2)], v[1], v[NR] }'
}

ratio_to() {
    paste <(column off "$2" cpu_us) <(column "$1" "$2" cpu_us) | awk '{ print $1 / $2 }' | median | awk '{ printf "%.2f", $1 }'
}

# Answers at half of the peak rate, without and with a reload under way all the time.
reload_latency() {
    local peak half swapped
    peak=$(column off saturated per_s | median)
    half=$(awk -v peak="$peak" 'BEGIN { printf "%d", peak / 2 }')
    local reload_seconds=4
    for ((round = 1; round <= rounds; round++)); do
        half_rate quiet
        swap_tables &
        swapper=$!
        half_rate swapping
        kill "$swapper" 2>/dev/null || true
        wait "$swapper" 2>/dev/null || true
    done
    swapped=$(grep -c 'reload gen' "$work/reload/log" || true)
    printf '\n| answers at half of the peak rate, %d/s | p50 ms | p99 ms | slowest ms | lost | of them in rounds without a standstill | wrong |\n|---|---|---|---|---|---|---|\n' "$half"
    for case in quiet swapping; do
        printf '| %s | %.2f | %.2f | %.2f | %d | %d | %d |\n' "$case" \
            $(for q in p50_us p99_us max_us; do column reload $case $q | median | awk '{ print $1 / 1000 }'; done) \
            "$(column reload $case lost | total)" \
            "$(paste <(column reload $case stills) <(column reload $case lost) | awk '$1 == 0 { print $2 }' | total)" \
            "$(column reload $case wrong | total)"
    done
    printf '\nThe machine stood still for more than 5 ms (a real-time thread woke that late) %d times without and %d \
times with reloads, %.1f ms at most.\n' "$(column reload quiet stills | total)" "$(column reload swapping stills | total)" \
        "$(cat <(column reload quiet still_us) <(column reload swapping still_us) | sort -g | tail -n 1 | awk '{ print $1 / 1000 }')"
    printf '\n%d reloads of %d DIDs, %s ms each (median); p99 with reload / without: %s\n' "$swapped" "$dids" \
        "$(sed -nE 's/.*reload gen .*took_ms=([0-9]+).*/\1/p' "$work/reload/log" | median)" \
        "$(paste <(column reload swapping p99_us) <(column reload quiet p99_us) | awk '{ print $1 / $2 }' | median | awk '{ printf "%.2f", $1 }')"
}

half_rate() {
    "$work/load" call "${port[reload]}" --seconds "$reload_seconds" --dids "$dids" --rate "$half" \
        --watch 1 --cpu "${pid[reload]}" >>"$work/reload.$1.line" || true
}

# Swaps Monday's table for Tuesday's and back, one reload after the other. It waits for the log
# and asks for nothing meanwhile: a program started every few milliseconds to look would be what
# the caller waits for.
swap_tables() {
    local lines tail line table=tuesday
    exec {lines}< <(exec tail --pid="${pid[reload]}" -n 0 -f "$work/reload/log")
    tail=$!
    trap 'kill "$tail" 2>/dev/null; exit 0' TERM
    serve_table "$table"
    while read -r line <&"$lines"; do
        [[ $line == *'reload gen'* ]] || continue
        [[ $table == tuesday ]] && table=monday || table=tuesday
        serve_table "$table"
    done
}

# serve_table FOLDER
serve_table() {
    ln -sfn "$work/$1" "$work/reload/table.next"
    mv -T "$work/reload/table.next" "$work/reload/table"
    kill -HUP "${pid[reload]}"
}
