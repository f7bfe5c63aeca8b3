# Copyright (C) the nginx gray module authors

"""Random documents and requests.  Operands and values come from small pools
that are drawn for each document, so that conditions hold about as often as
they do not; values are near misses of operands, too.
"""

import ipaddress

NOW = 1709164800        # 2024-02-29T00:00:00Z

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# the named lists of all documents

LISTS = {
    "vip": [b"a", b"ab", b"user-1", b"User-2", "caf\u00e9".encode(), b"5",
            b"5.0", b"10.0.0.1", b"1.2.3", b"true"],
    "ids": [b"id-%d" % i for i in range(500)],
    "office": ["10.0.0.0/8", "192.168.1.0/24", "2001:db8::/32", "1.2.3.4",
               "::1"],
    "net": ["10.0.%d.0/24" % i for i in range(0, 256, 2)]
           + ["2001:db8:%x::/48" % i for i in range(0, 256, 2)],
}

# what a variable's values look like -> the operators that suit them

SUIT = {
    "word": ("eq", "ne", "in", "not_in", "prefix", "suffix", "contains",
             "regex", "exists", "in_list"),
    "number": ("eq", "ne", "in", "not_in", "lt", "lte", "gt", "gte"),
    "address": ("cidr", "cidr_list", "eq", "in", "prefix"),
    "version": ("version_lt", "version_lte", "version_gt", "version_gte",
                "eq"),
}

ANY = sorted({o for suit in SUIT.values() for o in suit})

FOLDED = ("eq", "ne", "in", "not_in", "prefix", "suffix", "contains", "regex")


class Pool:
    """an attribute: its name and modifiers, and what it may be"""

    def __init__(self, random, name, kind, modifiers):
        self.name = name
        self.kind = kind
        self.modifiers = modifiers
        self.numbers = name.startswith("geo.") and kind == "number"
        self.operands = [DRAW[kind](random)
                         for _ in range(random.randint(2, 6))]

    def key(self):
        m = self.modifiers
        return (self.name, m.get("of", ""), m.get("values", ""),
                m.get("decode", False))


# -- operands

def word(random):
    if random.random() < 0.08:
        return random.choice(("user-1", "User-2", "id-77", "true", "false",
                              "5", "caf\u00e9", "a b", "x" * 40))

    return "".join(random.choice("aabABC1-.\u00e9")
                   for _ in range(random.randint(1, 5)))


def whole(random):
    r = random.random()

    if r < 0.6:
        return random.randint(-3, 12)

    if r < 0.8:
        return random.randint(-40, 40) / 4

    return random.choice((0, 5, 1e3, 0.1, 1 << 53, -(1 << 53), 123456789012,
                          -0.5, 99.9999))


def network(random):
    r = random.random()

    if r < 0.5:
        bits = random.choice((0, 8, 12, 16, 23, 24, 25, 30, 31, 32))
        base = random.choice((0x0a000000, 0x0a000100, 0xc0a80100, 0x01020304,
                              0xffffffff, random.getrandbits(32)))
        base = base >> 32 - bits << 32 - bits
        text = str(ipaddress.IPv4Address(base))

        if random.random() < 0.15:
            return "::ffff:%s/%d" % (text, 96 + bits)

    else:
        bits = random.choice((0, 16, 32, 48, 63, 64, 65, 120, 127, 128))
        base = random.choice((0x20010db8 << 96, (0x20010db8 << 96) + 1, 1,
                              0xfe80 << 112, random.getrandbits(128)))
        base = base >> 128 - bits << 128 - bits
        text = str(ipaddress.IPv6Address(base))

        # what is IPv4, mapped, is judged as such

        if base >> 32 == 0xffff:
            return "2001:db8::/32"

        if random.random() < 0.2:
            text = ipaddress.IPv6Address(base).exploded.upper()

    full = 128 if ":" in text else 32

    return text if bits == full and random.random() < 0.5 \
        else "%s/%d" % (text, bits)


def version(random):
    text = ".".join(str(random.choice((0, 0, 1, 2, 9, 10, 11,
                                       10 ** 25, 10 ** 25 + 1)
                                      if random.random() < 0.1
                                      else (0, 1, 2, 9, 10)))
                    for _ in range(random.randint(1, 5)))

    if random.random() < 0.1:
        text = "v" + text

    if random.random() < 0.35:
        text += "-" + ".".join(random.choice(("alpha", "beta", "rc", "1", "2",
                                              "10", "0", "a-1", "RC"))
                               for _ in range(random.randint(1, 3)))

    if random.random() < 0.1:
        text += "+" + random.choice(("5", "sha.1f", "0-x"))

    return text


DRAW = {"word": word, "number": whole, "address": network,
        "version": version}


def piece(random):
    r = random.random()

    if r < 0.5:
        return random.choice(("a", "b", "A", "B", "C", "1", "-", r"\.", "ab",
                              "\u00e9"))
    if r < 0.75:
        return random.choice((".", "[a-c]", "[^ab]", r"\d", r"\w", "[A-Z1]",
                              r"\W", r"\D", "[.-]"))

    return "(%s|%s)" % (random.choice("abAB1"), random.choice("abC1-"))


def pattern(random):
    """one that Python and PCRE2 understand alike, and that never reaches the
    limit of steps, as with more than one piece of any length it might"""

    text = ""
    most = random.randrange(5)

    for i in range(random.randint(1, 4)):
        text += piece(random)

        if i == most:
            text += random.choice(("*", "+", "*?", "+?"))

        elif random.random() < 0.3:
            text += random.choice(("?", "{1,2}", "{2}"))

    if random.random() < 0.3:
        text = "^" + text

    if random.random() < 0.3:
        text += "$"

    return text


# -- conditions

def operand(random, operator, pool):
    if operator in ("lt", "lte", "gt", "gte"):
        return pool.draw(random) if pool.kind == "number" else whole(random)

    if operator.startswith("version_"):
        return (random.choice(pool.operands) if pool.kind == "version"
                else version(random))

    if operator == "exists":
        return random.random() < 0.5

    if operator == "in_list":
        return random.choice(("vip", "ids"))

    if operator == "cidr_list":
        return random.choice(("office", "net"))

    if operator == "cidr":
        one = lambda: (random.choice(pool.operands)
                       if pool.kind == "address" else network(random))
        return some(random, one)

    if operator == "regex":
        return some(random, lambda: pattern(random))

    if operator in ("eq", "ne"):
        return scalar(random, pool)

    if operator in ("in", "not_in"):
        return [scalar(random, pool) for _ in range(random.randint(1, 5))]

    return some(random, lambda: part(random, operator, pool))


def some(random, draw):
    if random.random() < 0.5:
        return draw()

    return [draw() for _ in range(random.randint(1, 3))]


def scalar(random, pool):
    r = random.random()

    if r < 0.03:
        return random.random() < 0.5

    if r < 0.06:
        return whole(random)

    if r < 0.09:
        return word(random)

    value = random.choice(pool.operands)

    if pool.kind == "address":
        return value.split("/")[0]

    if pool.kind == "number" and random.random() < 0.2:
        return str(value)

    return value


def part(random, operator, pool):
    text = str(random.choice(pool.operands))
    n = random.randint(1, max(1, min(len(text), 3)))

    return {"prefix": text[:n], "suffix": text[-n:],
            "contains": text[n - 1:n + 1] or text}[operator]


Pool.draw = lambda self, random: random.choice(self.operands)


def test(random, pool):
    r = random.random()
    plain = not pool.modifiers

    if plain and r < 0.2:
        return scalar(random, pool)

    if plain and r < 0.3:
        return [scalar(random, pool) for _ in range(random.randint(1, 6))]

    made = {}

    for _ in range(1 if random.random() < 0.75 else 2):
        operator = random.choice(ANY if random.random() < 0.06
                                 else SUIT[pool.kind])
        made[operator] = operand(random, operator, pool)

    if random.random() < 0.3 and any(o in FOLDED for o in made):
        made["ignore_case"] = random.random() < 0.9

    made.update(pool.modifiers)

    if random.random() < 0.3:
        made = dict(random.sample(list(made.items()), len(made)))

    return made


def instant(random):
    n = NOW + random.randint(-200000, 200000) \
        if random.random() < 0.8 else random.randint(0, 4000000000)

    shift = random.choice((0, 0, 0, 28800, -12600, 20700))
    days, second = divmod(n + shift, 86400)

    # https://howardhinnant.github.io/date_algorithms.html, civil_from_days

    z = days + 719468
    era, doe = divmod(z, 146097)
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9

    return "%04d-%02d-%02dT%02d:%02d:%02d%s" % (
        yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) // 5 + 1,
        second // 3600, second // 60 % 60, second % 60,
        zone(shift) if shift else random.choice(("Z", "+00:00")))


def zone(shift):
    return "%s%02d:%02d" % ("-" if shift < 0 else "+", abs(shift) // 3600,
                            abs(shift) // 60 % 60)


def clock(random):
    return "%02d:%02d" % (random.randint(0, 23),
                          random.choice((0, 0, 1, 15, 30, 59)))


def window(random):
    made = {}

    if random.random() < 0.25:
        made["after"] = instant(random)

    if random.random() < 0.25:
        made["before"] = instant(random)

        if "after" in made:
            del made["after"]

    if random.random() < 0.6 or not made:
        made["from"] = clock(random)

        while made.get("to", made["from"]) == made["from"]:
            made["to"] = clock(random)

    if random.random() < 0.6:
        made["days"] = random.sample(DAYS, random.randint(3, 6))

    if random.random() < 0.6:
        made["utc_offset"] = zone(random.choice((0, 28800, -12600, 20700,
                                                 -43200, 50400)))

    return made


def percent(random):
    if random.random() < 0.4:
        return random.choice((50, 40, 62.5, 0, 100))

    made = {random.choice(("lt", "lte", "gt", "gte")):
            random.choice((50, 30, 70.1234, 0, 100))}

    if random.random() < 0.3:
        made["salt"] = random.choice(("s", "other"))

    if random.random() < 0.3:
        made["of"] = "$http_key"

    return made


def when(random, pools, depth=0):
    made = {}

    for _ in range(random.choice((1, 1, 1, 2, 2, 3))):
        r = random.random()

        if depth < 3 and r < 0.12:
            made["any"] = [when(random, pools, depth + 1)
                           for _ in range(random.randint(1, 4))]
        elif depth < 3 and r < 0.2:
            made["all"] = [when(random, pools, depth + 1)
                           for _ in range(random.randint(1, 3))]
        elif depth < 3 and r < 0.36:
            made["not"] = when(random, pools, depth + 1)
        elif r < 0.4:
            made["time"] = window(random)
        elif r < 0.44:
            made["percent"] = percent(random)
        else:
            pool = random.choice(pools)
            made[pool.name] = test(random, pool)

    return made


# -- documents

def weights(random, arms):
    """weights, and an allocation that fits them"""

    # steps of 0.0001%, or of one that is seen

    cuts = sorted(random.randrange(0, 1000001, random.choice((1, 1000)))
                  for _ in range(random.randint(1, 7)))
    allocation = {a: [] for a in arms}

    for first, end in zip([0] + cuts, cuts + [1000000]):
        arm = random.choice(arms + [None])

        if arm is not None and first < end:
            allocation[arm].append([first, end])

    for intervals in allocation.values():
        random.shuffle(intervals)

    sums = {a: sum(e - f for f, e in i) for a, i in allocation.items()}

    return ({a: n / 10000 if n % 10000 else n // 10000
             for a, n in sums.items()}, allocation)


def attributes(random):
    names = [("$http_x", None), ("$cookie_uid", None), ("$arg_n", "number"),
             ("$remote_addr", "address"), ("$http_build", "version"),
             ("$request_uri", "word"), ("geo.country.iso_code", "word"),
             ("geo.location.latitude", "number"), ("device", "word"),
             ("$http_ip", "address"), ("$http_plan", "word")]
    pools = []

    for name, kind in random.sample(names, random.randint(1, 5)):
        modifiers = {}

        if name[0] != "$" and random.random() < 0.2:
            modifiers["of"] = "$http_of"

        if name.startswith("$arg_") and random.random() < 0.3:
            modifiers["decode"] = True

        if name.startswith(("$arg_", "$cookie_", "$http_")) \
                and random.random() < 0.2:
            modifiers["values"] = random.choice(("any", "any", "any",
                                                 "first", "last"))

        kind = kind or random.choice(list(SUIT))
        pools.append(Pool(random, name, kind, modifiers))

        # the same name, but another attribute

        if modifiers and random.random() < 0.3:
            pools.append(Pool(random, name, kind, {}))

    return pools


def rule(random, i, made, arms):
    made = {"when": made}

    if random.random() < 0.5:
        made = {"name": "r%d" % i, **made}

    if random.random() < 0.2:
        made = {"name": "w%d" % i, **made}
        made["name"] = "w%d" % i
        made["weights"], made["allocation"] = weights(random, arms)
        return made

    made["variant"] = random.choice(arms + ["stable"])

    return made


def document(random):
    """(document, pools)"""

    pools = attributes(random)
    arms = ["canary", "beta", "blue"][:random.randint(1, 3)]
    parts, allocation = weights(random, arms)

    doc = {"release": "app", "baseline": "stable"}

    if random.random() < 0.03:
        doc["enabled"] = False

    r = random.random()

    if r < 0.6:
        doc["hash"] = random.sample(["$cookie_id", "$http_key", "$arg_id"],
                                    random.randint(1, 3))

    if r < 0.3 or r > 0.8:
        doc["cookie"] = {"name": "gray"}

    if random.random() < 0.3:
        doc["salt"] = random.choice(("x", "a salt of more than 32 bytes, "
                                     "so that lanes are used", "caf\u00e9"))

    doc["variants"] = {"stable": {}}

    for arm in random.sample(arms, len(arms)):
        doc["variants"][arm] = {"weight": parts[arm]}

    if random.random() < 0.03:
        conditions = many(random, pools)

    else:
        conditions = [when(random, pools)
                      for _ in range(random.choice((0, 1, 2, 3, 5, 8)))]

    doc["rules"] = [rule(random, i, w, arms)
                    for i, w in enumerate(conditions)]
    doc["allocation"] = allocation

    return doc, pools


def many(random, pools):
    """rules as of user lists: equalities of few attributes, and others"""

    n = random.choice((10, 30, 100, 300))
    equal = random.sample(pools, min(len(pools), random.randint(1, 3)))
    odd = random.choice((0, 0.02, 0.2))
    conditions = []

    for pool in equal:
        pool.operands = [DRAW[pool.kind](random) for _ in range(n)]

        if pool.kind == "word":
            pool.operands = [random.choice((o, "id-%d" % random.randrange(n)))
                             for o in pool.operands]

    for _ in range(n):
        pool = random.choice(equal)

        if random.random() < odd:
            conditions.append(when(random, pools))
            continue

        r = random.random()

        if r < 0.8:
            made = scalar(random, pool)
        else:
            made = [scalar(random, pool) for _ in range(random.randint(1, 4))]

        if r > 0.95 or pool.modifiers:
            made = {"in" if isinstance(made, list) else "eq": made,
                    **pool.modifiers}

            if random.random() < 0.5:
                made["ignore_case"] = True

        made = {pool.name: made}

        if random.random() < 0.1:
            other = random.choice(pools)
            made.setdefault(other.name, test(random, other))

        conditions.append(made)

    return conditions


# -- requests

def value(random, pool):
    if random.random() < 0.05:
        return random.choice((b"", b"a", b"true", b"5", b"10.0.0.1", b"1.2",
                              b"a\n", b"\xff\x80", b"AB", b"id-12",
                              b"User-2", b"unix:", b"x" * 70))

    return NEAR[pool.kind](random, pool.draw(random), pool)


def near_word(random, text, pool):
    r = random.random()
    text = str(text)

    if r < 0.15:
        text = text.swapcase()

    elif r < 0.25:
        text = word(random) + text

    elif r < 0.35:
        text += word(random)

    elif r < 0.4:
        text = text[1:]

    return text.encode()


def near_number(random, n, pool):
    if random.random() < 0.4:
        n += random.choice((-1, 1, -0.25, 0.0001))

    if pool.numbers:
        return float(n)

    r = random.random()
    text = str(n)

    if r < 0.1:
        text = random.choice(("+", " ", "-", "0", "00", ".")) + text

    elif r < 0.25:
        text += random.choice((".", "e3", " ", "0", ".0", ".00", ".000001",
                               "x"))

    elif r < 0.3:
        text = random.choice(("0", "1")) * random.choice((20, 61, 62, 63, 64))

    elif r < 0.33:
        text += ("" if "." in text else ".") + "0" * random.choice((40, 70))

    return text.encode()


def near_address(random, text, pool):
    n = ipaddress.ip_network(text)
    first, last = int(n.network_address), int(n.broadcast_address)
    most = (1 << n.max_prefixlen) - 1
    r = random.random()

    if r < 0.3:
        a = random.randint(first, last)
    else:
        a = random.choice((first, last, max(first - 1, 0),
                           min(last + 1, most)))

    made = type(n.network_address)(a)
    r = random.random()

    if made.version == 4 and r < 0.15:
        text = random.choice(("::ffff:%s", "::FFFF:%s", "0:0::ffff:%s",
                              "0:0:0:0:0:ffff:%s", "::%s")) % made

    elif made.version == 6 and r < 0.2:
        text = random.choice((made.exploded, made.exploded.upper(),
                              str(made).upper()))

    elif r > 0.95:
        text = random.choice(("%s ", " %s", "%s/32", "%s.", ":%s", "%s:",
                              "%s%%1", "%s.1", "[%s]", "%s:80")) % made

    else:
        text = str(made)

    return text.encode()


def near_version(random, text, pool):
    r = random.random()

    if r < 0.15:
        text += random.choice((".0", ".0.0", ".1", "-rc", "-1", "+b", ".x",
                               "."))
    elif r < 0.3:
        text = text.split("-")[0]

    elif r < 0.4:
        text = text.rsplit(".", 1)[0]

    elif r < 0.43:
        text = random.choice(("v", "x", " ", ".")) + text

    return text.encode()


NEAR = {"word": near_word, "number": near_number, "address": near_address,
        "version": near_version}


def request(random, pools):
    values = {}

    for pool in pools:
        r = random.random()

        if r < 0.08:
            continue

        if r < 0.1:
            values[pool.key()] = None
            continue

        n = 1

        if pool.modifiers.get("values") == "any":
            n = random.choice((1, 2, 3))

        values[pool.key()] = [value(random, pool) for _ in range(n)]

    for name in ("$cookie_id", "$http_key", "$arg_id", "$cookie_gray"):
        r = random.random()

        if r < 0.5:
            values[(name, "", "", False)] = [
                random.choice((b"", b"u%d" % random.randrange(1000),
                               b"user-%d" % random.randrange(100000),
                               random.randbytes(random.randint(1, 70))))]
        elif r < 0.52:
            values[(name, "", "", False)] = None

    r = random.random()
    now = NOW + (random.randrange(-150000, 150000) if r < 0.5
                 else random.randrange(-2000, 2000) * 60)

    return {"now": now, "chance": random.randrange(1000000),
            "minted": random.choice((None, b"minted-%d"
                                     % random.randrange(1000))),
            "values": values}
