# Sourced by the acceptance of proxy mode where a side speaks TLS: Debian's SIPp does not, so
# it speaks TCP with a stunnel of ours, which speaks TLS with the proxy. Both sides show
# certificates and look at each other's.

tunnel=

# certificate NAME CA: a key and a certificate for the host NAME.example, by CA or by itself.
certificate() {
    local name=$1 ca=${2:-} of=()
    [[ -z $ca ]] || of=(-CA "$work/$ca.pem" -CAkey "$work/$ca.key")
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj "/CN=$name.example" -addext "subjectAltName=DNS:$name.example" \
        -addext "basicConstraints=critical,CA:$([[ $ca ]] && echo FALSE || echo TRUE)" \
        "${of[@]}" -keyout "$work/$name.key" -out "$work/$name.pem" 2>>"$work/openssl.log" ||
        fail "no certificate $name: $(cat "$work/openssl.log")"
}

certificates() {
    local name
    certificate authority
    for name in trunkline phone; do certificate $name authority; done
    certificate untrusted
}

# tls_listener PORT [MODE]: the listener and the peers, for the configuration.
tls_listener() {
    cat <<TOML
[[listen]]
address     = "127.0.0.1:$1"
transport   = "tls"
mode        = "${2:-proxy}"
certificate = "trunkline.pem"
key         = "trunkline.key"
client_ca   = "authority.pem"
TOML
    [[ ${2:-proxy} == proxy ]] || return 0
    cat <<TOML
alias       = true

[[tls_peer]]
address     = "127.0.0.1"
name        = "phone.example"
ca          = "authority.pem"
certificate = "trunkline.pem"
key         = "trunkline.key"
TOML
}

# start_tunnel CALLERS PROXY [PORT PLAIN CERTIFICATE]…: what is said to the port CALLERS goes
# to the proxy over TLS; what comes to PORT over TLS goes on to PLAIN.
start_tunnel() {
    {
        cat <<CONF
foreground = yes
pid =
syslog = no
output = $work/stunnel.log
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
CAfile = $work/authority.pem
verifyChain = yes

[callers]
client = yes
accept = 127.0.0.1:$1
connect = 127.0.0.1:$2
cert = $work/phone.pem
key = $work/phone.key
checkHost = trunkline.example
CONF
        shift 2
        while (($#)); do
            cat <<CONF

[$1]
accept = 127.0.0.1:$1
connect = 127.0.0.1:$2
cert = $work/$3.pem
key = $work/$3.key
CONF
            shift 3
        done
    } >"$work/stunnel.conf"
    stunnel4 "$work/stunnel.conf" >"$work/stunnel.out" 2>&1 &
    tunnel=$!
    for _ in {1..200}; do
        if grep -qs 'Configuration successful' "$work/stunnel.log"; then return; fi
        kill -0 "$tunnel" 2>/dev/null || break
        sleep 0.05
    done
    fail "stunnel did not start: $(cat "$work/stunnel.out" "$work/stunnel.log" 2>/dev/null)"
}
