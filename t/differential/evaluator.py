# Copyright (C) the nginx gray module authors

"""What docs/document.md says of a decision, written down as plainly as it can
be: no tables, no index, nothing compiled.  It shares no line with the module.

A request is a dictionary:

    now         seconds since the epoch
    chance      the bucket that chance gives
    minted      the id that a cookie would get, or None
    values      (name, of, values, decode) of an attribute -> a list of bytes
                and numbers, or None where it cannot be told

Truth has three values: True, False, and Unjudged, which is raised.
"""

import ipaddress
import json
import re


M = (1 << 64) - 1
P = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
     0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


class Unjudged(Exception):
    pass


def decide(doc, request, lists):
    """(variant, reason, rule or None, bucket or -1)"""

    baseline = doc["baseline"]

    if not doc.get("enabled", True):
        return baseline, "disabled", None, -1

    for i, rule in enumerate(doc.get("rules", [])):

        if verdict(doc, rule, request, lists) is not True:
            continue

        name = rule.get("name", str(i))

        if "variant" in rule:
            return rule["variant"], "rule", name, -1

        return draw(doc, rule["allocation"], request, name)

    return draw(doc, doc["allocation"], request, None)


def draw(doc, allocation, request, rule):
    if not doc.get("hash") and "cookie" not in doc:
        reason = "random" if rule is None else "rule_split"
        return held(doc, allocation, request["chance"]), reason, rule, -1

    drawn_by = key(doc, request)

    if drawn_by is None:
        return doc["baseline"], "no_key", rule, -1

    in_bucket = bucket(drawn_by, xxh64(salt(doc), 0))
    reason = "split" if rule is None else "rule_split"

    return held(doc, allocation, in_bucket), reason, rule, in_bucket


def held(doc, allocation, in_bucket):
    for variant, intervals in allocation.items():
        for first, end in intervals:
            if first <= in_bucket < end:
                return variant

    return doc["baseline"]


def salt(doc):
    return doc.get("salt", doc["release"]).encode()


def key(doc, request):
    names = list(doc.get("hash", []))

    if "cookie" in doc:
        names.append("$cookie_" + doc["cookie"]["name"])

    for name in names:
        value = single(request, name)

        if value:
            return value

    return request["minted"] if "cookie" in doc else None


def single(request, name):
    values = request["values"].get((name, "", "", False), [])
    return values[0] if values else None


def verdict(doc, rule, request, lists):
    """True, False, or None where the rule cannot be evaluated"""

    try:
        return holds(rule["when"], doc, request, lists)

    except Unjudged:
        return None


def members(node):
    """in the order of the canonical form"""

    return sorted(node.items(),
                  key=lambda m: (m[0] in ("all", "any", "not"), m[0]))


def holds(when, doc, request, lists):
    for name, value in members(when):

        if name == "all":
            held_ = all(holds(w, doc, request, lists) for w in value)

        elif name == "any":
            held_ = any(holds(w, doc, request, lists) for w in value)

        elif name == "not":
            held_ = not holds(value, doc, request, lists)

        elif name == "time":
            held_ = window(value, request["now"])

        elif name == "percent":
            held_ = percent(value, doc, request)

        else:
            held_ = test(name, value, request, lists)

        if not held_:
            return False

    return True


# -- a test of an attribute

def test(name, value, request, lists):
    if isinstance(value, list):
        value = {"in": value}

    elif not isinstance(value, dict):
        value = {"eq": value}

    attribute = (name, value.get("of", ""), value.get("values", ""),
                 value.get("decode", False))
    seen = request["values"].get(attribute, [])

    if seen is None:
        raise Unjudged()

    # what is absent and what is empty is the same

    seen = [v for v in seen if v != b""]
    ignore_case = value.get("ignore_case", False)

    for operator, operand in members(value):

        if operator in ("of", "values", "decode", "ignore_case"):
            continue

        if operator == "exists":
            held_ = bool(seen) == operand

        elif operator in ("ne", "not_in"):
            positive = {"ne": "eq", "not_in": "in"}[operator]
            held_ = not any(operate(positive, v, operand, ignore_case, lists)
                            for v in seen)

        else:
            held_ = any(operate(operator, v, operand, ignore_case, lists)
                        for v in seen)

        if not held_:
            return False

    return True


def operate(operator, value, operand, ignore_case, lists):
    if operator in ("lt", "lte", "gt", "gte"):
        n = number(value)

        if n is None:
            raise Unjudged()

        return ordered(operator, (n > operand) - (n < operand))

    if operator == "eq":
        return equal(value, [operand], ignore_case)

    if operator == "in":
        return equal(value, operand, ignore_case)

    # what remains is for texts

    value = text(value)

    if value is None:
        raise Unjudged()

    if operator.startswith("version_"):
        return ordered(operator[8:], compare(value, operand.encode()))

    if operator == "in_list":
        return value in lists[operand]

    if operator == "cidr_list":
        return within(value, lists[operand])

    operands = operand if isinstance(operand, list) else [operand]

    if operator == "cidr":
        return within(value, operands)

    if operator == "regex":
        flags = re.IGNORECASE if ignore_case else 0
        return any(re.search(o.encode(), value, flags) for o in operands)

    if ignore_case:
        value = value.lower()

    for o in operands:
        o = o.encode()

        if ignore_case:
            o = o.lower()

        if {"prefix": value.startswith, "suffix": value.endswith,
                "contains": value.__contains__}[operator](o):
            return True

    return False


def ordered(operator, order):
    return {"lt": order < 0, "lte": order <= 0,
            "gt": order > 0, "gte": order >= 0}[operator]


def equal(value, operands, ignore_case):
    seen, n = text(value), number(value)
    unjudged = False

    for o in operands:

        if isinstance(o, bool):
            o = "true" if o else "false"

        if isinstance(o, str):
            o = o.encode()

            if seen is None:
                unjudged = True

            elif seen == o or ignore_case and seen.lower() == o.lower():
                return True

        elif n is None:
            unjudged = True

        elif n == o:
            return True

    if unjudged:
        raise Unjudged()

    return False


def text(value):
    """of a number: only what is whole, and exact, has one"""

    if isinstance(value, bytes):
        return value

    if value == int(value) and abs(value) <= 1 << 53:
        return str(int(value)).encode()

    return None


def number(value):
    if not isinstance(value, bytes):
        return value

    if len(value) > 63 or not re.fullmatch(rb"-?[0-9]+(\.[0-9]+)?", value):
        return None

    return float(value)


# -- addresses

def address(value):
    """(version, integer), or None"""

    try:
        value = value.decode("ascii")

        if "%" in value:
            return None

        a = ipaddress.ip_address(value)

    except ValueError:
        return None

    if a.version == 6 and a.ipv4_mapped is not None:
        a = a.ipv4_mapped

    return a.version, int(a)


def within(value, networks):
    a = address(value)

    if a is None:
        raise Unjudged()

    return any(a in network(n) for n in networks)


class network:
    known = {}

    def __new__(cls, name):
        if name not in cls.known:
            cls.known[name] = super().__new__(cls)
            cls.known[name].read(name)

        return cls.known[name]

    def read(self, name):
        n = ipaddress.ip_network(name)
        first, last = n.network_address, n.broadcast_address

        if n.version == 6 and n.prefixlen >= 96 \
                and first.ipv4_mapped is not None:
            first, last = first.ipv4_mapped, last.ipv4_mapped

        self.version, self.first, self.last = (
            first.version, int(first), int(last))

    def __contains__(self, a):
        return a[0] == self.version and self.first <= a[1] <= self.last


# -- versions: https://semver.org, with numbers as many as one likes

def version(value):
    m = re.fullmatch(rb"v?([0-9]+(?:\.[0-9]+)*)"
                     rb"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
                     rb"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?", value)

    if m is None:
        raise Unjudged()

    numbers = [int(n) for n in m[1].split(b".")]

    while numbers and numbers[-1] == 0:
        numbers.pop()

    if m[2] is None:
        return numbers, 1, []

    return numbers, 0, [(0, int(i), b"") if i.isdigit() else (1, 0, i)
                        for i in m[2].split(b".")]


def compare(one, two):
    one, two = version(one), version(two)
    return (one > two) - (one < two)


# -- time

def window(value, now):
    if "after" in value and now < date(value["after"]):
        return False

    if "before" in value and now >= date(value["before"]):
        return False

    local = now + offset(value.get("utc_offset", "Z"))
    day, second = divmod(local, 86400)

    first = clock(value["from"]) if "from" in value else 0
    end = clock(value["to"]) if "to" in value else 86400

    if first < end:
        if not first <= second < end:
            return False

    # over midnight: the day is that on which the window opened

    elif second < end:
        day -= 1

    elif second < first:
        return False

    # the first of January 1970 was a Thursday

    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

    return "days" not in value or names[(day + 3) % 7] in value["days"]


def clock(value):
    h, m = value.split(":")
    return int(h) * 3600 + int(m) * 60


def offset(value):
    if value in ("Z", "z"):
        return 0

    seconds = clock(value[1:])
    return -seconds if value[0] == "-" else seconds


def date(value):
    m = re.fullmatch(r"(\d+)-(\d+)-(\d+)[Tt](\d+):(\d+):(\d+)(\.\d+)?(.+)",
                     value)
    year, month, day, hour, minute, second = map(int, m.groups()[:6])

    days = sum(365 + leap(y) for y in range(1970, year))
    days -= sum(365 + leap(y) for y in range(year, 1970))
    days += sum((31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30,
                 31)[:month - 1]) + day - 1

    return (days * 86400 + hour * 3600 + minute * 60 + second
            - offset(m[8]))


def leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


# -- keys

def percent(value, doc, request):
    if not isinstance(value, dict):
        value = {"lt": value}

    if "of" in value:
        seen = request["values"].get((value["of"], "", "", False), [])

        if seen is None:
            raise Unjudged()

        drawn_by = seen[0] if seen else None

    else:
        drawn_by = key(doc, request)

    if drawn_by:
        seed = xxh64(value["salt"].encode() if "salt" in value
                     else salt(doc), 1)
        in_bucket = bucket(drawn_by, seed)

    elif "of" in value or doc.get("hash") or "cookie" in doc:
        return False

    else:
        in_bucket = request["chance"]

    part = in_bucket / 10000

    return all(ordered(o, (part > n) - (part < n))
               for o, n in value.items() if o not in ("of", "salt"))


def bucket(drawn_by, seed):
    return xxh64(drawn_by, seed) * 1000000 >> 64


hashes = {}


def xxh64(data, seed):
    h = hashes.get((data, seed))

    if h is None:
        if len(hashes) > 100000:
            hashes.clear()

        h = hashes[(data, seed)] = xxh64_of(data, seed)

    return h


def rotate(x, by):
    return (x << by | x >> 64 - by) & M


def mix(accumulator, lane):
    return rotate((accumulator + lane * P[1]) & M, 31) * P[0] & M


def xxh64_of(data, seed):
    """https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md"""

    at = 0

    if len(data) >= 32:
        a = [(seed + P[0] + P[1]) & M, (seed + P[1]) & M, seed,
             (seed - P[0]) & M]

        while len(data) - at >= 32:
            for i in range(4):
                a[i] = mix(a[i], int.from_bytes(data[at:at + 8], "little"))
                at += 8

        h = sum(rotate(x, by) for x, by in zip(a, (1, 7, 12, 18))) & M

        for x in a:
            h = ((h ^ mix(0, x)) * P[0] + P[3]) & M

    else:
        h = (seed + P[4]) & M

    h = (h + len(data)) & M

    while len(data) - at >= 8:
        h ^= mix(0, int.from_bytes(data[at:at + 8], "little"))
        h = (rotate(h, 27) * P[0] + P[3]) & M
        at += 8

    if len(data) - at >= 4:
        h ^= int.from_bytes(data[at:at + 4], "little") * P[0] & M
        h = (rotate(h, 23) * P[1] + P[2]) & M
        at += 4

    for byte in data[at:]:
        h = rotate(h ^ byte * P[4] & M, 11) * P[0] & M

    h = (h ^ h >> 33) * P[1] & M
    h = (h ^ h >> 29) * P[2] & M

    return h ^ h >> 32


def plain(request):
    """as JSON, to be shown"""

    values = {"|".join(map(str, k)): None if v is None else
              [x.decode("latin-1") if isinstance(x, bytes) else x for x in v]
              for k, v in request["values"].items()}

    return json.dumps(dict(request, values=values,
                           minted=request["minted"]
                           and request["minted"].decode()))
