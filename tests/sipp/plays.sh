# Sourced by the acceptance of proxy mode: its plays, in the words of words.sh.
# A play NAME has a role NAME.caller, and NAME.trunk, NAME.second, NAME.third as far as its
# trunks go; `silent`, `closed` and `untrusted` are trunks nobody has to write. plays() lists them.

# NAME ROLES…, in the order of the trunks of its group.
plays() {
    cat <<'PLAYS'
answer                 caller trunk
bye-from-trunk         caller trunk
no-progress            caller trunk
busy                   caller trunk second
no-answer              caller trunk second
timeout-of-trunk       caller trunk second
unknown-number         caller
hops-spent             caller
cancel                 caller trunk
cancel-crosses-200     caller trunk
re-invite              caller trunk
glare                  caller trunk
prack                  caller trunk
update                 caller trunk
info                   caller trunk
late-offer             caller trunk
blind-transfer         caller trunk target
attended-transfer      caller trunk consultation target
failover-503           caller trunk second
failover-408           caller trunk second
failover-silence       caller silent second
failover-closed-port   caller closed second
failover-untrusted     caller untrusted second
failover-late-ringing  caller trunk second
exhausted              caller trunk second third
exhausted-503          caller trunk
answer-lost            caller trunk
ack-lost               caller trunk
refusal-lost           caller trunk
timer-c                caller trunk
PLAYS
}

# ---- calls

answer.caller() { talks; pause 100; says_goodbye 2; }
answer.trunk() { answers; hangs_up; }

bye-from-trunk.caller() { talks; request BYE came_along; ok; }
bye-from-trunk.trunk() { answers; pause 100; back BYE 1; response 200 came_back; }

no-progress.caller() { invite; trying; response 200 keep of_trunk_with_body; ack 1; says_goodbye 2; }
no-progress.trunk() { called; picked_up; request ACK came_along; hangs_up; }

# ---- calls that are refused: what has rung is not tried elsewhere

busy.caller() { invite; trying; response 486 of_trunk_recorded; ack_refusal; }
busy.trunk() { called; refused "486 Busy Here"; request ACK; }
busy.second() { nobody_calls; }

no-answer.caller() { invite; hears_ringing; response 480 of_trunk_recorded; ack_refusal; }
no-answer.trunk() { rings; pause 500; refused "480 Temporarily Unavailable"; request ACK; }
no-answer.second() { nobody_calls; }

timeout-of-trunk.caller() { invite; hears_ringing; response 408 of_trunk_recorded; ack_refusal; }
timeout-of-trunk.trunk() { rings; pause 500; refused "408 Request Timeout"; request ACK; }
timeout-of-trunk.second() { nobody_calls; }

unknown-number.caller() { did=+442999; invite; response 404 of_proxy; ack_refusal; }

hops-spent.caller() { invite | sed 's/^Max-Forwards: 70$/Max-Forwards: 0/'; response 483 of_proxy; ack_refusal; }

# ---- a caller who gives up

cancel.caller() {
    invite; hears_ringing; cancel
    response 200 for_cancel of_proxy
    response 487 of_trunk; ack_refusal
}
cancel.trunk() {
    rings
    request CANCEL is_our_cancel; ok
    answer_kept "487 Request Terminated"; request ACK
}

cancel-crosses-200.caller() {
    invite; hears_ringing; cancel
    response 200 for_cancel of_proxy
    response 200 keep of_trunk; ack 1; says_goodbye 2
}
cancel-crosses-200.trunk() {
    rings
    request CANCEL is_our_cancel
    answer_kept "200 OK" "$(with trunk)"
    request ACK came_along; hangs_up
}

# RFC 3261 §9.1: the CANCEL of a hop has its one Via and the Reason of who gave up.
is_our_cancel() {
    message_lacks '[[:cntrl:]]Via:.*[[:cntrl:]]Via:'
    matches Reason '^ Q[.]850;cause=16;text="gone"$'
    matches CSeq '^ 1 CANCEL$'
}

# ---- inside a dialog

re-invite.caller() {
    talks
    in_dialog INVITE 2 "X-Side: caller" "$(with caller)"; response 100; response 200 keep of_trunk body_of_trunk; ack 2
    request INVITE came_along body_of_trunk; ok_repeated "$(with caller)"; request ACK came_along
    says_goodbye 3
}
re-invite.trunk() {
    answers
    request INVITE came_along body_of_caller; ok_repeated "$(with trunk)"; request ACK came_along
    back INVITE 1 "X-Side: trunk" "$(with trunk)"; response 100; response 200 came_back body_of_caller; ack_back 1
    hangs_up
}

# Both change the call at once: each refuses the other's, RFC 3261 §14.2.
glare.caller() {
    talks
    in_dialog INVITE 2 "X-Side: caller" "$(with caller)"; response 100
    request INVITE came_along; in_dialog_now=yes refused "491 Request Pending"; request ACK
    response 491 of_trunk; ack_hop caller 2
    says_goodbye 3
}
glare.trunk() {
    answers
    request INVITE came_along remember
    back INVITE 1 "X-Side: trunk" "$(with trunk)"; response 100
    response 491 came_back; ack_hop trunk 1
    answer_kept "491 Request Pending" "$without" 2; request ACK
    hangs_up
}

prack.caller() {
    invite; trying
    response 183 keep of_trunk_with_body is_reliable
    in_dialog PRACK 2 "RAck: 1 1 INVITE"; response 200 of_trunk
    response 200 keep of_trunk_recorded; ack 1
    says_goodbye 3
}
prack.trunk() {
    called
    answer "183 Session Progress" "$(printf 'Require: 100rel\nRSeq: 1')" "$(with trunk)" repeated
    request PRACK came_along rack; ok
    pause 50
    answer_kept "200 OK" "$(printf 'X-Kept:  as   it came;;,  ;tail\n%s' "$without")"
    request ACK came_along; hangs_up
}
is_reliable() { matches RSeq '^ 1$'; matches Require '^ 100rel$'; }
rack() { matches RAck '^ 1 1 INVITE$'; }

update.caller() {
    talks
    in_dialog UPDATE 2 "X-Side: caller" "$(with caller)"; response 200 of_trunk body_of_trunk
    request UPDATE came_along body_of_trunk; ok "$(with caller)"
    settles; says_goodbye 3
}
update.trunk() {
    answers
    request UPDATE came_along body_of_caller; ok "$(with trunk)"
    settles; back UPDATE 1 "X-Side: trunk" "$(with trunk)"; response 200 came_back body_of_caller
    hangs_up
}

info.caller() {
    talks
    in_dialog INFO 2 "Info-Package: dtmf"; response 200 of_trunk
    in_dialog MESSAGE 3; response 415 of_trunk
    in_dialog OPTIONS 4; response 200 of_trunk
    says_goodbye 5
}
info.trunk() {
    answers
    request INFO came_along is_dtmf; ok
    request MESSAGE came_along; in_dialog_now=yes answer "415 Unsupported Media Type"
    request OPTIONS came_along; ok
    hangs_up
}
is_dtmf() { matches Info-Package '^ dtmf$'; }

# The offer stands in the 200, the answer in the ACK.
late-offer.caller() {
    invite "$without"; hears_ringing
    response 200 keep of_trunk_with_body; ack 1 "$(with caller)"
    says_goodbye 2
}
late-offer.trunk() {
    request INVITE keep is_forwarded has_no_body; ringing; picked_up
    request ACK came_along body_of_caller; hangs_up
}
has_no_body() { matches Content-Length '^ *0$'; message_lacks '[[:cntrl:]]v=0'; }

# ---- transfer

# The caller sends the trunk's side on to `target`, which is called through the proxy.
blind-transfer.caller() {
    talks
    in_dialog REFER 2 "Refer-To: <sip:$target_did@127.0.0.1:$proxy>"; response 202 of_trunk
    request NOTIFY came_along is_sipfrag; ok
    request NOTIFY came_along is_sipfrag; ok
    settles; says_goodbye 3
}
blind-transfer.trunk() {
    answers
    request REFER came_along refers; in_dialog_now=yes answer "202 Accepted"
    settles; notify 1 "SIP/2.0 100 Trying"; response 200 came_back
    mark "$play.referred"; pause 600
    notify 2 "SIP/2.0 200 OK"; response 200 came_back
    hangs_up
}
blind-transfer.transferee() { transferee; }
blind-transfer.target() { transferred 'Subject: blind-transfer'; }
refers() { matches Refer-To "^ <sip:[+]${target_did#+}@"; }
is_sipfrag() { matches Subscription-State '^ (active|terminated)'; message_matches 'SIP/2[.]0 [12]00 '; }
notify() {
    back NOTIFY "$1" "$(printf 'Event: refer\nSubscription-State: %s' "$([[ $1 == 1 ]] && echo 'active;expires=60' || echo 'terminated;reason=noresource')")" \
        "$(printf 'Content-Type: message/sipfrag;version=2.0\nContent-Length: [len]\n\n%s' "$2")"
}
# transferee [HEADER]: who was referred calls the target. The new call is like any other.
transferee() { did=$target_did; invite "$(with caller)" "${1:-}"; hears_ringing; response 200 keep of_trunk_with_body; ack 1; says_goodbye 2; }
transferred() { did=$target_did; called; ringing; picked_up; request ACK came_along; hangs_up; }

# The caller also has a consultation call to `target`; the trunk's side takes it over with
# Replaces (RFC 3891), and the target ends the call that is replaced.
attended-transfer.consultation() {
    did=$target_did; invite; hears_ringing; response 200 keep of_trunk_with_body; ack 1
    mark "$play.consults"; request BYE came_along; ok
}
attended-transfer.caller() {
    talks
    in_dialog REFER 2 "Refer-To: <sip:$target_did@127.0.0.1:$proxy?Replaces=$consultation_id%3Bto-tag%3Dtrunk%3Bfrom-tag%3Dcaller>"
    response 202 of_trunk
    request NOTIFY came_along is_sipfrag; ok
    request NOTIFY came_along is_sipfrag; ok
    settles; says_goodbye 3
}
attended-transfer.trunk() { blind-transfer.trunk; }
attended-transfer.transferee() { transferee "Replaces: $consultation_id;to-tag=trunk;from-tag=caller"; }
attended-transfer.target() {
    did=$target_did
    request INVITE keep next=takes-over test=again is_forwarded body_of_caller remember replaces
    ringing; picked_up; request ACK came_along
    pause 6000; back BYE 1; response 200 next=end came_back
    label takes-over
    ringing; picked_up; request ACK came_along; hangs_up
}
replaces() {
    printf '<ereg regexp="^ %s;to-tag=trunk;from-tag=caller$" search_in="hdr" header="Replaces:" start_line="true" check_it="false" assign_to="again"/>\n' "$consultation_id"
}

# ---- alternative routing: the caller hears of the trunk that answered, and of no other

failover-503.caller() { answer.caller; }
failover-503.trunk() { called; refused "503 Service Unavailable"; request ACK; }
failover-503.second() { answer.trunk; }

failover-408.caller() { answer.caller; }
failover-408.trunk() { called; refused "408 Request Timeout"; request ACK; }
failover-408.second() { answer.trunk; }

failover-silence.caller() { answer.caller; }
failover-silence.second() { answer.trunk; }

# The network says that nobody is there: no waiting for the trunk's timeout of 4 s.
failover-closed-port.caller() {
    invite; trying; response 180 within=3000 of_trunk_recorded
    response 200 keep of_trunk_with_body; ack 1; says_goodbye 2
}
failover-closed-port.second() { answer.trunk; }

# The certificate of the first trunk is its own word: it hears nothing of the call.
failover-untrusted.caller() { failover-closed-port.caller; }
failover-untrusted.second() { answer.trunk; }

# The first trunk wakes up when the call has gone on without it: its phone must not ring.
failover-late-ringing.caller() { talks; pause 1500; says_goodbye 2; }
failover-late-ringing.trunk() {
    called; pause 1500; ringing
    request CANCEL; ok
    answer_kept "487 Request Terminated"; request ACK
}
failover-late-ringing.second() { answer.trunk; }

# RFC 3261 §16.7 step 6: the best answer there was, and that is not the last one.
exhausted.caller() { invite; trying; response 408 of_trunk; ack_refusal; }
exhausted.trunk() { called; refused "503 Service Unavailable"; request ACK; }
exhausted.second() { called; refused "408 Request Timeout"; request ACK; }
exhausted.third() { called; refused "504 Server Time-out"; request ACK; }

# A 503 is the trunk's trouble and not ours: it leaves as 500.
exhausted-503.caller() { invite; trying; response 500 of_trunk; ack_refusal; }
exhausted-503.trunk() { called; refused "503 Service Unavailable"; request ACK; }

# ---- what is lost is said again

answer-lost.caller() {
    invite; hears_ringing
    response 200 of_trunk_with_body; response 200 keep of_trunk_with_body
    ack 1; says_goodbye 2
}
answer-lost.trunk() { answers; hangs_up; }

# The proxy has kept the ACK and sends it again, with the same branch (RFC 3261 §16.11): the
# caller hears of nothing.
ack-lost.caller() { talks; pause 500; says_goodbye 2; }
ack-lost.trunk() {
    rings; picked_up
    request ACK came_along first_ack
    answer_kept "200 OK"
    request ACK came_along same_ack
    hangs_up
}
first_ack() {
    printf '<ereg regexp=".*" search_in="hdr" header="Via:" start_line="true" occurrence="1" check_it="true" assign_to="again"/>\n'
}
same_ack() {
    printf '<ereg regexp=".*" search_in="hdr" header="Via:" start_line="true" occurrence="1" check_it="true" assign_to="kept"/>\n'
    printf '<assignstr assign_to="kept" value="[$again]|[$kept]"/>\n'
    printf '<ereg regexp="^([^|]+)[|]\\1$" search_in="var" variable="kept" check_it="true" assign_to="again"/>\n'
}

# Timer G of the proxy repeats what the caller did not acknowledge.
refusal-lost.caller() { invite; trying; response 486 of_trunk; response 486 of_trunk; ack_refusal; }
refusal-lost.trunk() { called; refused "486 Busy Here"; request ACK; }

# ---- a phone that rings for three minutes: RFC 3261 §16.6 step 11, timer C

timer-c.caller() { invite; hears_ringing; response 487 of_trunk; ack_refusal; }
timer-c.trunk() { rings; request CANCEL; ok; answer_kept "487 Request Terminated"; request ACK; }

# ---- trunks that need no words of their own

nobody_calls() { request INVITE; mark "$play.$role.called"; pause 600000; }
silent() { request INVITE is_forwarded; mark "$play.$role.called"; pause 600000; }
