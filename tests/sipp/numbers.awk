# The numbers of an acceptance table and, apart from it, what each call must be told.
#   what=rows    the CSV of the table
#   what=calls   the injection file of SIPp, a thousand numbers out of `count`
# Up to 1,000 numbers: half in London, half in Berlin (ranges kept free for fiction), some
# of them in a range with exceptions. More: under +999, a country code nobody has.

function number(i) {
    if (count > 1000) return sprintf("+999%08d", (i * 7919) % 100000000)
    return i < 500 ? sprintf("+442079460%03d", i) : sprintf("+493023125%03d", i)
}

# Group of number i: a hundred numbers stand in one range, every seventh of them apart.
function group(i, moved) {
    if (in_range(i)) return (3 + moved) % 10
    return (i + moved) % 10
}

function in_range(i) { return count <= 1000 && i >= 600 && i < 700 && i % 7 != 0 }

# The ways a caller in London may write it.
function dialled(i,   whole) {
    whole = number(i)
    if (i % 4 == 1) return "00" substr(whole, 2)
    if (whole ~ /^\+44/ && i % 4 == 2) return "0" substr(whole, 4)
    # As an extension, unless it begins with 00, which is the international prefix.
    if (whole ~ /^\+44/ && i % 4 == 3 && i >= 100) return substr(whole, 10)
    return whole
}

# What the trunk group wants: every third takes national numbers.
function sent(i, to,   whole) {
    whole = number(i)
    if (to % 3 != 1) return whole
    return whole ~ /^\+44/ ? "0" substr(whole, 4) : "00" substr(whole, 2)
}

BEGIN {
    if (what == "rows") {
        print "number,trunk_group,comment"
        if (count <= 1000) printf "+493023125600 to +493023125699,group-%d,a range\n", (3 + shift) % 10
        for (i = 0; i < count; i++)
            if (!in_range(i)) printf "%s,group-%d,number %d\n", number(i), group(i, shift), i
        exit
    }
    print "SEQUENTIAL"
    step = count > 1000 ? int(count / 1000) - 1 : 1     # odd for a million: every way of dialling occurs
    for (n = 0; n < 1000; n++) {
        i = n * step
        to = group(i, shift)
        also = group(i, other)
        printf "%s;%s;label-%d;platform-%d.route;%s;label-%d;platform-%d.route\n", \
            dialled(i), sent(i, to), to, to, sent(i, also), also, also
    }
}
