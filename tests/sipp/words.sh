# Sourced by the acceptance of proxy mode: the words its plays are written in.
# A play has roles, a role is a SIPp scenario, and each word prints a piece of one.
#
# A word reads: $play, $did (the number of this play), $own (the port of this role),
# $proxy (the port of the proxy), $over (its transport
# as a Via spells it) and $over_uri (as a URI does). Tags are plain: the caller is `caller`, whoever
# answers is `trunk`. What is expected, and can be expected wrongly to see a check fail:
expected_hops=69            # Max-Forwards at the trunk; the caller sends 70
expected_route=             # port of our Record-Route; left out: one of the proxy's
expected_body=whole         # the body as it was sent
expected_via=ours           # the branch of the Via that a response comes back with

# A body with everything a careless rewriter would tidy up. body WHO: of caller or trunk.
body() {
    printf '%s\n' 'v=0' "o=$1 1 1 IN IP4 127.0.0.1" "s=  $1   does not   tidy;" \
        'c=IN IP4 127.0.0.1' 't=0 0' 'm=audio 6000 RTP/AVP 8 101' 'a=rtpmap:8 PCMA/8000' \
        "a=x-odd:;;,,<>'%00 \"$1\""
}

# What body WHO is to be at the other end: a regular expression, and its length.
body_expression() {
    body "$1" | sed -E 's/[][\\.*^$+?(){}|]/[&]/g; s/\[\\\]/\\\\/g; s/\[\^\]/\\^/g' | awk '{ printf "%s[[:cntrl:]]{2}", $0 }'
}

body_bytes() {
    body "$1" | awk '{ bytes += length($0) + 2 } END { print bytes }'
}

escaped() {
    sed -e 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/"/\&quot;/g' <<<"$1"
}

# scenario WORDS...: the document around the words of one role.
scenario() {
    printf '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
    printf '<scenario name="%s">\n' "$play"
    "$@"
    # SIPp refuses variables that are only written.
    printf '<label id="end"/>\n<nop><action><assignstr assign_to="kept" value="-"/><assignstr assign_to="via" value="-"/><assignstr assign_to="via2" value="-"/><assignstr assign_to="route" value="-"/><assignstr assign_to="again" value="-"/></action></nop>\n'
    printf '<Reference variables="kept,via,via2,route,again"/>\n</scenario>\n'
}

# ---- sending

# send MESSAGE: with SIPp's retransmissions. send_once: without.
send() { printf '<send retrans="500"><![CDATA[\n%s\n\n]]></send>\n' "$1"; }
send_once() { printf '<send><![CDATA[\n%s\n\n]]></send>\n' "$1"; }

label() { printf '<label id="%s"/>\n' "$1"; }
pause() { printf '<pause milliseconds="%d"/>\n' "$1"; }

# with WHO: Content headers and body for the end of a message.
with() {
    printf 'Content-Type: application/sdp\nContent-Length: [len]\n\n%s' "$(body "$1")"
}
without='Content-Length: 0'

from_caller() {
    printf 'From: "Ada  King" <sip:+447700900123@127.0.0.1>;tag=caller\n'
}

# invite [BODY] [HEADER]: a new call.
invite() {
    send "INVITE sip:$did@127.0.0.1:$proxy;user=phone SIP/2.0
Via: SIP/2.0/$over 127.0.0.1:$own;branch=z9hG4bK-$play-invite;rport$via_more
$(from_caller)
To: <sip:$did@127.0.0.1>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:ada@127.0.0.1:$own$over_uri>
Max-Forwards: 70
Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, REFER, NOTIFY, INFO
Supported: 100rel, replaces
X-Kept:  as   it came;;,  ;tail
${2:-Subject: $play}
${1:-$(with caller)}"
}

# The same, on its way to nobody again: ends a final answer that is no 2xx.
ack_refusal() {
    send_once "ACK sip:$did@127.0.0.1:$proxy;user=phone SIP/2.0
Via: SIP/2.0/$over 127.0.0.1:$own;branch=z9hG4bK-$play-${1:-invite};rport
$(from_caller)
[last_To:]
Call-ID: [call_id]
CSeq: ${2:-1} ACK
Max-Forwards: 70
$without"
}

cancel() {
    send "CANCEL sip:$did@127.0.0.1:$proxy;user=phone SIP/2.0
Via: SIP/2.0/$over 127.0.0.1:$own;branch=z9hG4bK-$play-invite;rport
$(from_caller)
To: <sip:$did@127.0.0.1>
Call-ID: [call_id]
CSeq: 1 CANCEL
Max-Forwards: 70
Reason: Q.850;cause=16;text=\"gone\"
$without"
}

# in_dialog METHOD CSEQ [HEADERS] [BODY]: a request of the caller's side inside the dialog.
# in_dialog_once: not repeated by SIPp.
in_dialog() { send "$(dialog_request caller "$@")"; }
in_dialog_once() { send_once "$(dialog_request caller "$@")"; }
# The same from the side that answered.
back() { send "$(dialog_request trunk "$@")"; }
back_once() { send_once "$(dialog_request trunk "$@")"; }

dialog_request() {
    local who=$1 method=$2 cseq=$3 headers=${4:-X-Side: $1} content=${5:-$without} ends
    if [[ $who == caller ]]; then
        ends="$(from_caller)
To: <sip:$did@127.0.0.1>;tag=trunk"
    else
        ends="From: <sip:$did@127.0.0.1>;tag=trunk
To: \"Ada  King\" <sip:+447700900123@127.0.0.1>;tag=caller"
    fi
    cat <<SIP
$method [next_url] SIP/2.0
Via: SIP/2.0/$over 127.0.0.1:$own;branch=z9hG4bK-$play-$who-$method-$cseq
[routes]
$ends
Call-ID: [call_id]
CSeq: $cseq $method
Contact: <sip:$who@127.0.0.1:$own$over_uri>
Max-Forwards: 70
$headers
$content
SIP
}

# ack CSEQ [BODY]: of the 2xx that came last.
ack() { in_dialog_once ACK "$1" "X-Side: caller" "${2:-$without}"; }
ack_back() { back_once ACK "$1" "X-Side: trunk" "${2:-$without}"; }

# ack_hop WHO CSEQ: of a refused request inside the dialog; same branch, same way.
ack_hop() { send_once "$(dialog_request "$1" INVITE "$2" | sed -E '1s/^INVITE/ACK/; s/^CSeq:.*/CSeq: '"$2"' ACK/')"; }

# ---- answering

# answer STATUS [HEADERS] [BODY]: to the request that came last.
answer() {
    local how=send_once
    if [[ ${4:-} == repeated ]]; then how=send; fi
    $how "SIP/2.0 $1
[last_Via:]
[last_From:]
[last_To:]$(tag_if_needed)
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:trunk@127.0.0.1:$own$over_uri>
Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, REFER, NOTIFY, INFO
X-Kept:  as   it came;;,  ;tail
${2:-X-Side: trunk}
${3:-$without}"
}

# The tag of who answers belongs to answers to what came without one.
tag_if_needed() { [[ ${in_dialog_now:-} ]] || printf ';tag=trunk'; }

ringing() { answer "180 Ringing" "X-Ring: bell" "$without"; }
picked_up() { answer "200 OK" "Supported: replaces" "$(with trunk)" repeated; }
refused() { answer "$1" "${2:-X-Side: trunk}" "$without" repeated; }
# ok [BODY]: to a request inside the dialog.
ok() { in_dialog_now=yes answer "200 OK" "X-Side: in dialog" "${1:-$without}"; }
ok_repeated() { in_dialog_now=yes answer "200 OK" "X-Side: in dialog" "${1:-$without}" repeated; }

# answer_kept STATUS [BODY]: to the INVITE that `remember` has kept, though something else
# came since.
answer_kept() {
    send "SIP/2.0 $1
Via:[\$via]
Via:[\$via2]
$(from_caller)
To: <sip:$did@127.0.0.1>;tag=trunk
Call-ID: [call_id]
CSeq: ${3:-1} INVITE
Record-Route:[\$route]
Contact: <sip:trunk@127.0.0.1:$own$over_uri>
${2:-$without}"
}

# ---- receiving

# request METHOD [CHECKS...]: waits for it. Options before the checks: optional, keep
# (its Record-Route and Contact become the dialog's), next=LABEL.
request() { receive "request=\"$1\"" "${@:2}"; }
response() { receive "response=\"$1\"" "${@:2}"; }

receive() {
    local what=$1 attributes= checks=()
    shift
    while (($#)); do
        case $1 in
            optional) attributes+=' optional="true"' ;;
            keep) attributes+=' rrs="true"' ;;
            next=*) attributes+=" next=\"${1#next=}\"" ;;
            test=*) attributes+=" test=\"${1#test=}\"" ;;
            within=*) attributes+=" timeout=\"${1#within=}\"" ;;
            *) break ;;
        esac
        shift
    done
    printf '<recv %s%s>\n<action>\n' "$what" "$attributes"
    (($# == 0)) && checks=(anything) || checks=("$@")
    for check in "${checks[@]}"; do $check; done
    printf '</action>\n</recv>\n'
}

anything() { matches X-Nothing '' no; }

# matches HEADER EXPRESSION: a check. With "no" it only looks.
matches() {
    printf '<ereg regexp="%s" search_in="hdr" header="%s:" start_line="true" check_it="%s" assign_to="kept"/>\n' \
        "$(escaped "$2")" "$1" "$([[ ${3:-} ]] && echo false || echo true)"
}

message_matches() {
    printf '<ereg regexp="%s" search_in="msg" check_it="true" assign_to="kept"/>\n' "$(escaped "$1")"
}

message_lacks() {
    printf '<ereg regexp="%s" search_in="msg" check_it_inverse="true" assign_to="kept"/>\n' "$(escaped "$1")"
}

# The Record-Route of the proxy: with it the dialog comes back through it.
recorded() { matches Record-Route "^ *<sip:127[.]0[.]0[.]1:${expected_route:-($port|${tls_port:-$port}|${fast_port:-$port})};[^>]*lr"; }

kept_as_it_came() { message_matches 'X-Kept:  as   it came;;,  ;tail[[:cntrl:]]{2}'; }

# body_of WHO: whole, and Content-Length says so.
body_of() {
    local expression
    expression=$(body_expression "$1")
    [[ $expected_body == whole ]] || expression+=x
    message_matches "[[:cntrl:]]{4}${expression}\$"
    matches Content-Length "^ *$(body_bytes "$1")\$"
}
body_of_caller() { body_of caller; }
body_of_trunk() { body_of trunk; }

# An INVITE at a trunk: our Via on top of the caller's, a hop less, the Request-URI of the
# trunk, a Record-Route, and every other byte as it was.
is_forwarded() {
    message_matches "^INVITE sip:[+]${did#+}@127[.]0[.]0[.]1:$own[ ;]"
    forwarded_request
    matches From "^ \"Ada  King\" <sip:[+]447700900123@127[.]0[.]0[.]1>;tag=caller\$"
    matches To "^ <sip:[+]${did#+}@127[.]0[.]0[.]1>\$"
    matches Contact "^ <sip:ada@127[.]0[.]0[.]1:[0-9]+(;transport=t(cp|ls))?>\$"
    matches CSeq "^ 1 INVITE\$"
    kept_as_it_came
    recorded
}

# What every request has that came through the proxy.
forwarded_request() {
    printf '<ereg regexp="^ SIP/2.0/%s 127[.]0[.]0[.]1:%s;.*branch=z9hG4bK" search_in="hdr" header="Via:" start_line="true" occurrence="1" check_it="true" assign_to="kept"/>\n' "$over" "$proxy"
    printf '<ereg regexp="branch=z9hG4bK-%s-" search_in="hdr" header="Via:" start_line="true" occurrence="2" check_it="true" assign_to="kept"/>\n' "$play"
    matches Max-Forwards "^ *$expected_hops\$"
    message_lacks '[[:cntrl:]]Route:'
}

# A request inside the dialog: sent to the Contact of who receives it, by the proxy.
came_along() { forwarded_request; }

# What every response has that came back through the proxy: the Via of who asked, alone.
came_back() {
    local branch=$play-
    [[ $expected_via == ours ]] || branch=$expected_via
    matches Via "^ SIP/2.0/$over 127[.]0[.]0[.]1:$own;.*branch=z9hG4bK-$branch"
    message_lacks '[[:cntrl:]]Via:.*[[:cntrl:]]Via:'
}

# A response of the trunk, and not one the proxy made up.
of_trunk() {
    came_back
    matches To '^ <sip:[^>]*>;tag=trunk$'
}

of_trunk_recorded() {
    of_trunk
    kept_as_it_came
    recorded
}

of_trunk_with_body() {
    of_trunk_recorded
    body_of_trunk
}

# A response the proxy made: its own To tag.
of_proxy() {
    came_back
    matches To '^ <sip:[^>]*>;tag=[^;]+$'
    message_lacks 'To: <sip:[^>]*>;tag=trunk'
}

for_cancel() { matches CSeq 'CANCEL$'; }

# Keeps what an answer needs after something else has come: see answer_kept.
remember() {
    printf '<ereg regexp=".*" search_in="hdr" header="Via:" start_line="true" occurrence="1" check_it="true" assign_to="via"/>\n'
    printf '<ereg regexp=".*" search_in="hdr" header="Via:" start_line="true" occurrence="2" check_it="true" assign_to="via2"/>\n'
    printf '<ereg regexp=".*" search_in="hdr" header="Record-Route:" start_line="true" check_it="false" assign_to="route"/>\n'
}

# mark NAME: tells the stage that this point was reached.
mark() { printf '<nop><action><exec command="touch %s"/></action></nop>\n' "$work/$1"; }

# ---- what most plays begin and end with

called() { request INVITE keep is_forwarded body_of_caller remember; }
rings() { called; ringing; }
answers() { rings; picked_up; request ACK came_along; }
hangs_up() { request BYE came_along; ok; }

trying() { response 100 came_back; }
hears_ringing() { trying; response 180 of_trunk_recorded; }
talks() { invite; hears_ringing; response 200 keep of_trunk_with_body; ack 1; }
# After an answer of one's own, before a request of one's own: they are two transactions, and
# nothing keeps the later from overtaking.
settles() { pause 500; }
says_goodbye() { in_dialog BYE "$1"; response 200 of_trunk; }
