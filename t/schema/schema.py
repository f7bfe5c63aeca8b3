# Copyright (C) the nginx gray module authors

"""schema.py --driver=FILE --texts=FILE [--schema=FILE] [--mutants=N]
          [--seed=S]

Holds docs/document.schema.json against the module: each document must be
judged alike by both, but for faults that a schema cannot tell, see
excuses.py.  The documents are

- the texts that the unit tests parse, and the JSON in the docs, the examples
  and the tests, as documents, conditions, tests and changes of a document;
- those of t/differential and t/fuzz/corpus;
- those of documents.py, with every node changed in all the ways that are
  known here, and as many mutants of the others.

A difference is printed, and makes it end with 1.
"""

import argparse
import collections
import copy
import glob
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys

import jsonschema

import documents
import excuses


HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

# differences that are printed, in full

PRINTED = 10

# of recorded texts: those that have more characters, and how many of those
# that differ in values alone, where they are many

LONG = 400
ALIKE = 20


# -- the schema

def ecma(pattern):
    """as Python has it: its "$" would match before a last newline, too"""

    made, inside, escaped = "", False, False

    for c in pattern:
        if c == "$" and not inside and not escaped:
            c = "\\Z"

        elif not escaped and c in "[]":
            inside = (c == "[")

        escaped = (c == "\\" and not escaped)
        made += c

    return made


def translated(node):
    if isinstance(node, list):
        return [translated(n) for n in node]

    if not isinstance(node, dict):
        return node

    made = {}

    for key, value in node.items():
        if key == "pattern" and isinstance(value, str):
            made[key] = ecma(value)
        elif key == "patternProperties":
            made[key] = {ecma(k): translated(v) for k, v in value.items()}
        else:
            made[key] = translated(value)

    return made


def validator(path):
    with open(path, encoding="utf-8") as f:
        schema = json.load(f)

    jsonschema.Draft202012Validator.check_schema(schema)

    return jsonschema.Draft202012Validator(translated(schema))


# -- the module

class Driver:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def faults(self, text):
        """[pointer, detail] each"""

        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()

        if not line:
            raise SystemExit("the driver ended, with status %s, at %s"
                             % (self.process.wait(), text))

        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


# -- documents, as texts

def pieces(text):
    """objects and arrays of JSON that are somewhere in a text"""

    decoder = json.JSONDecoder()
    at = 0

    while True:
        found = re.compile(r"[{\[]").search(text, at)

        if found is None:
            return

        try:
            value, at = decoder.raw_decode(text, found.start())
            yield value

        except (ValueError, RecursionError):
            at = found.start() + 1


def merged(target, patch):
    """RFC 7396"""

    if not isinstance(patch, dict):
        return patch

    target = dict(target) if isinstance(target, dict) else {}

    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merged(target.get(key), value)

    return target


def shapes(value):
    """what a piece of JSON may be meant as"""

    if not isinstance(value, dict):
        return

    if "baseline" in value or not value:
        yield value
        return

    yield documents.conditions(value)

    if not any(key[0] == "$" for key in value if key):
        yield documents.conditions({"time": value})
        yield value
        yield merged(documents.VARIANTS, value)
        yield merged(documents.MEMBERS[5], value)


def recorded(path, drawn):
    """tables in full; few of what is drawn there, which is long, or differs
    in values alone"""

    kinds = collections.defaultdict(list)
    long = []

    with open(path, "rb") as f:
        for line in dict.fromkeys(f):
            try:
                text = line.decode().strip()
                json.loads(text)

            except (ValueError, RecursionError):
                continue

            if len(text) > LONG:
                long.append(text)
                continue

            kind = re.sub(r'("[^"]*" *:)|"[^"]*"|[-0-9.]+|\s',
                          lambda m: m[1] or "0", text)
            kinds[re.sub(r"0[0,\[\]]*", "0", kind)].append(text)

    for texts in kinds.values():
        if len(texts) > ALIKE * 4:
            texts = drawn.sample(texts, ALIKE)

        for text in texts:
            yield text

            for made in shapes(json.loads(text)):
                yield dumped(made)

    for text in drawn.sample(long, min(len(long), ALIKE * 10)):
        yield text

        if "baseline" not in json.loads(text):
            yield dumped(documents.conditions(json.loads(text)))


def written():
    names = [os.path.join(TOP, "README.md")]

    for pattern in ("docs/*.md", "examples/*", "t/*.t", "t/fuzz/corpus/**"):
        names += sorted(glob.glob(os.path.join(TOP, pattern), recursive=True))

    for name in names:
        if not os.path.isfile(name):
            continue

        with open(name, encoding="utf-8", errors="replace") as f:
            text = f.read()

        # Perl's strings that go over several lines

        if name.endswith(".t"):
            text = re.sub(r"'\s*\.\s*'", "", text)

        for value in pieces(text):
            for made in shapes(value):
                yield dumped(made)


def generated(count, seed):
    path = os.path.join(TOP, "t", "differential")

    if not os.path.exists(os.path.join(path, "generator.py")):
        return

    sys.path.insert(0, path)
    import generator

    drawn = random.Random(seed)

    for _ in range(count):
        doc, _ = generator.document(drawn)
        doc.pop("release", None)
        yield dumped(doc)


def large():
    """at the bounds, and beyond"""

    base = documents.VARIANTS

    for n in (31, 32, 33):
        names = {"v%d" % i: {"weight": 0} for i in range(n - 1)}
        yield {"baseline": "s", "variants": {"s": {}, **names}}

    for n in (16, 17):
        yield {**base, "hash": ["$x"] * n}

    for n in (10000, 10001):
        yield {**base, "rules": [{"when": {"$x": 1}, "variant": "c"}] * n}

    for n in (256, 257):
        yield documents.conditions({"$x%d" % i: 1 for i in range(n)})
        yield documents.conditions({"$x": {"regex": ["a"] * n}})

    for n in (3, 4, 5, 6, 7):
        inner = {"$x": [1]}

        for _ in range(n):
            inner = {"any": [inner]}

        yield documents.conditions(inner)

    yield documents.conditions({"$x": {"regex": "(a)" * 101}})
    yield documents.conditions({"$x": "a" * 1048000})
    yield documents.conditions({"$x": "a" * 1048576})


def odd():
    """JSON that is refused as such, or that Python reads more kindly"""

    base = dumped(documents.VARIANTS)[:-1]

    for member in ('"enabled": true, "enabled": true', '"salt": "\\ud800"',
                   '"salt": "\\u0000"', '"revision": 9007199254740991',
                   '"revision": 9007199254740993',
                   '"revision": 1' + "0" * 63,
                   '"revision": 1.00000000000000001',
                   '"revision": 1' + "." + "0" * 60):
        yield "%s, %s}" % (base, member)

    for made in ({"cidr": "1" * 46 + "::"}, {"cidr": "::ffff:0:0/95"},
                 {"cidr": "10.0.0.1/8"}, {"regex": "("},
                 {"in_list": "nowhere"}):
        yield dumped(documents.conditions({"$x": made}))

    for made in ({"$nowhere": 1}, {"percent": 0.00001},
                 {"time": {"after": "2026-02-29T00:00:00Z"}},
                 {"time": {"from": "09:00", "to": "09:00"}},
                 {"time": {"after": "2026-03-01T00:00:00Z",
                           "before": "2026-03-01T00:00:00Z"}}):
        yield dumped(documents.conditions(made))

    for made in ({"salt": "\u00e9" * 128}, {"release": "search"},
                 {"variants": {"s": {"upstream": "gone"}}},
                 {"variants": {"s": {}, "c": {"weight": 0.00001}}},
                 {"cookie": {"name": "id", "expires": "9" * 20 + "y"}}):
        yield dumped({**documents.VARIANTS, **made})


def dumped(value):
    return json.dumps(value)


# -- mutants

def member_names(path):
    """every word of the code that may be the name of a member, and what the
    schema has"""

    words = set()

    for name in ("schema", "condition", "tests", "operand", "window"):
        with open(os.path.join(TOP, "ngx_http_gray_%s.c" % name),
                  encoding="utf-8") as f:
            words |= set(re.findall(r'"([a-z][a-z_]{1,15})"', f.read()))

    with open(path, encoding="utf-8") as f:
        for _, node in nodes(json.load(f)):
            if isinstance(node, dict):
                words |= set(node.get("properties", {}))

    return sorted(words)


def values_of(name):
    """what such a member is in documents without a fault"""

    return [node[name] for _, node in nodes(documents.GOOD)
            if isinstance(node, dict) and name in node]


def nodes(value, path=()):
    yield path, value

    if isinstance(value, dict):
        for key, inner in value.items():
            yield from nodes(inner, path + (key,))

    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from nodes(inner, path + (i,))


def put(doc, path, value):
    if not path:
        return value

    doc = copy.copy(doc)
    doc[path[0]] = put(doc[path[0]], path[1:], value)

    return doc


def words(text, drawn):
    """other words of its kind, and some of the others"""

    for kind in documents.WORDS:
        yield from kind if text in kind else drawn.sample(kind, 1)


def others(value, known, drawn):
    """what a node may become; "known" are names of members, with values"""

    names = list(known)

    for other in drawn.sample(documents.VALUES, 16):
        if type(other) is not type(value) or other != value:
            yield other

    if isinstance(value, str):
        yield from words(value, drawn)
        yield from (value + "\n", " " + value, value + " ", value[1:],
                    value[:-1], value.upper(), value.capitalize(),
                    value + "\u0000", value + "\u00e9", value + value)

    elif isinstance(value, bool) or value is None:
        return

    elif isinstance(value, (int, float)):
        yield from (-value, value + 0.5, value + 0.00001, value * 1000,
                    value + 1, str(value), [value])

    elif isinstance(value, list):
        yield value + value
        yield value + [None]
        yield value + [""]

        for i in range(len(value)):
            yield value[:i] + value[i + 1:]

    elif isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}

            for name in [*words(key, drawn), *drawn.sample(names, 4)]:
                yield {name if k == key else k: v for k, v in value.items()}

        for name in names:
            yield {name: drawn.choice(known[name]
                                      or (True, "x", 5, ["x"], {"x": 1})),
                   **value}


def mutants(doc, known, drawn, seen):
    """what was seen in another document already is left out"""

    for path, value in nodes(doc):
        for other in others(value, known, drawn):
            kind = (path, dumped(value), dumped(other))

            if kind not in seen:
                seen.add(kind)
                yield put(doc, path, other)


# -- the comparison

def at(doc, pointer):
    """the value, and the name of the member, at an RFC 6901 pointer"""

    key = None

    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")

        try:
            doc = doc[int(key)] if isinstance(doc, list) else doc[key]
        except (KeyError, IndexError, ValueError, TypeError):
            return None, key

    return doc, key


def excuse(doc, text, faults):
    """the reasons for which the schema need not refuse it, or None"""

    reasons = set()

    for pointer, detail in faults:
        value, key = at(doc, pointer or "")

        for reason, pattern, holds in excuses.EXCUSES:
            if (pointer is None) == (reason in excuses.SYNTAX) \
                    and re.match(pattern, detail) \
                    and holds(value, key, text):
                reasons.add(reason)
                break
        else:
            return None

    return reasons


def compare(part):
    """(how many were good, reasons, differences) of some texts"""

    options, texts = part
    driver = Driver(options.driver)
    schema = validator(options.schema)
    good, reasons, differences = [], collections.Counter(), []

    for text in texts:
        doc = json.loads(text)
        faults = driver.faults(text)
        valid = schema.is_valid(doc)

        if not faults:
            good.append(text)

        if valid == (not faults):
            continue

        excused = excuse(doc, text, faults) if valid else None

        if excused is None:
            differences.append((text, faults))
        else:
            reasons.update(excused)

    if driver.close() != 0:
        raise SystemExit("the driver failed")

    return good, reasons, differences


class Comparison:
    def __init__(self, options):
        self.options = options
        self.seen = set()
        self.reasons = collections.Counter()
        self.differences = []

    def texts(self, what, texts):
        """compares those that are new; the good ones"""

        new = list(dict.fromkeys(t for t in texts if t not in self.seen))
        self.seen.update(new)

        n = multiprocessing.cpu_count()
        good = []

        with multiprocessing.Pool(n) as pool:
            for g, r, d in pool.imap(compare, [(self.options, new[i::n])
                                               for i in range(n)]):
                good += g
                self.reasons += r
                self.differences += d

        print("%s: %d, %d of them good" % (what, len(new), len(good)))

        return sorted(good)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--schema", default=os.path.join(
        TOP, "docs", "document.schema.json"))
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    drawn = random.Random(options.seed)
    known = {name: values_of(name)
             for name in member_names(options.schema)}
    every = Comparison(options)

    good = every.texts("documents", [
        *recorded(options.texts, drawn), *written(),
        *generated(300, options.seed), *map(dumped, large()), *odd(),
        *map(dumped, documents.GOOD)])

    for doc in documents.GOOD:
        if dumped(doc) not in good:
            every.differences.append((dumped(doc), "is not good any more"))

    seen = set()

    every.texts("mutants", (dumped(m) for doc in documents.GOOD
                          for m in mutants(doc, known, drawn, seen)))

    # few of many: each good document is as likely as another

    good = [json.loads(g) for g in good if len(g) < 5000]
    some = []

    for _ in range(options.mutants):
        doc = drawn.choice(good)
        path, value = drawn.choice(list(nodes(doc)))
        other = drawn.choice(list(others(value, known, drawn)))
        some.append(dumped(put(doc, path, other)))

    every.texts("further mutants", some)

    for reason, n in sorted(every.reasons.items()):
        print("not said by the schema, %s: %d" % (reason, n))

    idle = {e[0] for e in excuses.EXCUSES} - set(every.reasons)

    for reason in sorted(idle):
        print("nothing was excused by \"%s\"" % reason)

    print("differences: %d" % len(every.differences))

    for text, faults in every.differences[:PRINTED]:
        print("%s\n    the module: %s" % (text[:2000], faults or "ok"))

    sys.exit(bool(every.differences or idle))


if __name__ == "__main__":
    main()
