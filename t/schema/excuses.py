# Copyright (C) the nginx gray module authors

"""What a schema cannot say: faults for which the module alone refuses a
document.

A row is a reason, a pattern of the fault's detail, and what must be so of the
value at the fault's place (and of the name of the member, and of the whole
text): the schema has to see to everything else, so that no row hides a
form that the schema has forgotten.
"""

import calendar
import re


NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}\Z")
DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt]\d\d:\d\d:\d\d(\.\d+)?"
                  r"([Zz]|[+-]\d\d:\d\d)\Z")
CLOCK = re.compile(r"\d\d:\d\d\Z")


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def within(value):
    return number(value) and 0 <= value <= 100


def named(value, key, text):
    """a name, as the value or as the member's own"""

    if isinstance(value, str):
        return NAME.match(value)

    return NAME.match(key) and (number(value) or isinstance(value, list))


def decimals(value, key, text):
    return within(value) and round(value, 4) != value


def interval(value, key, text):
    return (isinstance(value, list) and len(value) == 2
            and all(number(v) and v == int(v) and 0 <= v <= 1000000
                    for v in value)
            and value[0] >= value[1])


def bytes_only(value, key, text):
    return 1 <= len(value) <= 255 < len(value.encode("utf-8",
                                                     "surrogatepass"))


def leap(value, key, text):
    date = DATE.match(value)

    return (date and date[2] == "02" and date[3] == "29"
            and not calendar.isleap(int(date[1])))


def depth(value, key, text):
    inside = re.sub(r'"(\\.|[^"\\])*"', "", text)
    deep = most = 0

    for c in inside:
        deep += (c in "[{") - (c in "]}")
        most = max(most, deep)

    return most > 16


DURATION = re.compile(r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?\Z")


def duration(value, key, text):
    return isinstance(value, str) and value and DURATION.match(value)


def any_of(value, key, text):
    return True


# of what is read before there is a tree

SYNTAX = {"depth", "a NUL", "a surrogate alone", "a name twice",
          "digits of a number", "a number near 0"}

EXCUSES = [

    # names that must be those of something else

    ("a variant's name", r'no variant "', named),
    ("the release's name", r'must be ".*", the release\'s name$',
     lambda v, k, t: re.match(r"[a-z][a-z0-9_]{0,62}\Z", v)),
    ("an unknown variable", r'unknown variable "\$nowhere"$', any_of),
    ("an unknown upstream", r'no upstream "gone"$',
     lambda v, k, t: v == "gone"),
    ("an unknown list", r'no list "nowhere"$', lambda v, k, t: v == "nowhere"),
    ("a rule's name twice", r"is also the name of rule \d+$", named),

    # who has a weight, and how much

    ("no weight", r"is missing; every variant but the baseline has one$",
     lambda v, k, t: k == "weight"),
    ("the baseline's weight", r"the baseline has no weight",
     lambda v, k, t: within(v)),
    ("the sum of weights", r"the weights sum to ",
     lambda v, k, t: isinstance(v, dict)),
    ("decimals of a weight", r"\S+ has more than 4 decimals$", decimals),
    ("decimals of percent", r"must be a number within 0 to 100, of at most 4",
     decimals),
    ("an interval", r"must be \[START, END\]", interval),

    # plans

    ("more weight than is left", r"\S+ is more than other variants leave",
     lambda v, k, t: within(v)),
    ("limits of a time", r"must be (at most|from \S+ to) \S+[dh]$", duration),
    ("a hold behind its end", r'must not be (longer|shorter) than "', duration),
    ("a last step at 0", r"must not be 0 in the last step",
     lambda v, k, t: v == 0),
    ("what is watched", r"watches \d+ things, may watch 12",
     lambda v, k, t: isinstance(v, list) and len(v) <= 8),
    ("a guard's name twice", r"is also the name of guard \d+$", named),
    ("a window that never opens", r"never opens",
     lambda v, k, t: isinstance(v, dict) and "after" in v and "before" in v),

    # texts

    ("bytes", r"must be a string of 1 to 255 bytes$", bytes_only),
    ("a time too long", r"must be a time with a unit",
     lambda v, k, t: re.search(r"\d{11}", v)),
    ("a leap day", r"must be a date as ", leap),
    ("the order of dates", r'must be later than "after"$',
     lambda v, k, t: DATE.match(v)),
    ("the same times", r'must not be the same as "from"$',
     lambda v, k, t: CLOCK.match(v)),
    ("a pattern", r"invalid pattern at offset |the pattern is too large",
     lambda v, k, t: isinstance(v, str) and v),
    ("host bits", r'".*" has host bits set behind its first \d+ bits',
     lambda v, k, t: "/" in v),
    ("bits of a mapped network", r"must be an IPv4 or IPv6 address or network",
     lambda v, k, t: re.match(r"[0:]+:(ffff|FFFF):.*/\d+\Z", v)
     and int(v.split("/")[1]) < 96),

    # how much there is in all

    ("attributes", r"is one attribute too many", any_of),
    ("patterns", r"is one pattern too many",
     lambda v, k, t: isinstance(v, str)),
    ("the size", r"is \d+ bytes long, the zone takes documents",
     lambda v, k, t: len(t) > 1048576 - 300),

    # JSON that is refused, and JSON that other readers see differently

    ("depth", r"nested deeper than 16 levels$", depth),
    ("a NUL", r"\\u0000 is not accepted$", lambda v, k, t: "\\u0000" in t),
    ("a surrogate alone", r"lone surrogate",
     lambda v, k, t: re.search(r"\\u[dD][89a-fA-F]", t)),
    ("a name twice", r"duplicate key ", any_of),
    ("digits of a number",
     r"number is longer than|number has more digits than can be kept$"
     r"|number is not within",
     lambda v, k, t: re.search(r"[0-9.]{16}", t)),
    ("a number near 0", r"number is too close to 0",
     lambda v, k, t: re.search(r"e-[3-9]\d\d|0\.0{300}", t)),
]
