# Copyright (C) the nginx gray module authors

"""differential.py --driver=FILE [--pairs=N] [--seed=S] [--jobs=J]

Draws documents and requests, has each request decided by the module (the
driver) and by the evaluator, and compares: variant, reason, rule, bucket, and
the verdict of every rule.  The first difference is printed, with a document
and a request that are as small as they can be made, and ends it with 1.
"""

import argparse
import collections
import concurrent.futures
import copy
import json
import random
import subprocess
import sys
import time

import evaluator
import generator


# requests to a document

REQUESTS = 20


class Driver:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

        for name, entries in generator.LISTS.items():
            text = b"\n".join(e.encode() if isinstance(e, str) else e
                              for e in entries)
            self.send("L %s %s" % (name, text.hex()))

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def answers(self, n):
        self.process.stdin.flush()
        lines = [self.process.stdout.readline().decode() for _ in range(n)]

        if not all(lines):
            raise RuntimeError("the driver ended with status %s"
                               % self.process.wait())

        return [line.rstrip("\n") for line in lines]

    def ask(self, doc, requests):
        """lines, or what is wrong with the document"""

        self.send("D " + json.dumps(doc))
        said = self.answers(1)[0]

        if said != "ok":
            return said

        for request in requests:
            self.send("R " + line_of(request))

        return self.answers(len(requests))

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def line_of(request):
    minted = request["minted"]
    words = ["%d %d %s" % (request["now"], request["chance"],
                           minted.hex() if minted else "-")]

    for (name, of, values, decode), seen in request["values"].items():
        words.append("%s|%s|%s|%d=%s" % (
            name, of, values, decode,
            "!" if seen is None else ",".join(
                "s" + v.hex() if isinstance(v, bytes) else "n" + repr(v)
                for v in seen)))

    return " ".join(words)


def expected(doc, request):
    variant, reason, rule, bucket = evaluator.decide(doc, request,
                                                     generator.LISTS)
    verdicts = [evaluator.verdict(doc, r, request, generator.LISTS)
                for r in doc.get("rules", [])]

    return "%s %s %s %d %s" % (
        variant, reason, "-" if rule is None else rule, bucket,
        "".join({True: "1", False: "0", None: "e"}[v] for v in verdicts))


# -- to make a difference smaller

def differs(driver, doc, request):
    try:
        wanted = expected(doc, request)

    except Exception:
        return False

    said = driver.ask(doc, [request])

    return isinstance(said, list) and said[0] != wanted


def smaller(tree):
    """copies of a tree of JSON, each without one of its parts; weights and
    allocations stay, as they have to fit each other"""

    if isinstance(tree, dict):
        parts = [k for k in tree
                 if k not in ("variants", "weights", "allocation")]

        for k in parts:
            yield {j: v for j, v in tree.items() if j != k}

        for k in parts:
            for less in smaller(tree[k]):
                yield {**tree, k: less}

    elif isinstance(tree, list):
        if len(tree) > 8:
            half = len(tree) // 2
            yield tree[:half]
            yield tree[half:]

        for i in range(len(tree)):
            yield tree[:i] + tree[i + 1:]

        for i in range(len(tree)):
            for less in smaller(tree[i]):
                yield tree[:i] + [less] + tree[i + 1:]


def reduce(driver, doc, request):
    found = True

    while found:
        found = False

        for less in smaller(doc):
            if differs(driver, less, request):
                doc, found = less, True
                break

        for less in smaller(request["values"]):
            less = {**request, "values": less}

            if differs(driver, doc, less):
                request, found = less, True
                break

    return doc, request


def report(driver, seed, doc, request):
    doc, request = reduce(driver, doc, copy.deepcopy(request))

    return ("a difference, with --seed=%s\ndocument  %s\nrequest   %s\n"
            "expected  %s\ndecided   %s"
            % (seed, json.dumps(doc), evaluator.plain(request),
               expected(doc, request), driver.ask(doc, [request])[0]))


# -- a share of the pairs

def share(arguments):
    path, seed, pairs = arguments
    driver = Driver(path)
    seen = collections.Counter()
    done = part = 0

    while done < pairs:
        # any document can be drawn again, without those before it

        drawn_from = "%s.%d" % (seed, part)
        drawn = random.Random(drawn_from)
        part += 1

        doc, pools = generator.document(drawn)
        requests = [generator.request(drawn, pools)
                    for _ in range(min(REQUESTS, pairs - done))]
        said = driver.ask(doc, requests)

        if isinstance(said, str):
            return "a document was refused, with --seed=%s\n%s\n%s" % (
                drawn_from, json.dumps(doc), said), seen

        for request, line in zip(requests, said):
            wanted = expected(doc, request)

            if line != wanted:
                return report(driver, drawn_from, doc, request), seen

            words = wanted.split(" ")
            seen[words[1]] += 1
            seen.update(words[4])

        done += len(requests)

    status = driver.close()

    if status != 0:
        return "the driver ended with status %s" % status, seen

    seen["pairs"], seen["documents"] = done, part

    return None, seen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--pairs", type=int, default=20000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()

    began = time.monotonic()
    seen = collections.Counter()

    # more shares than jobs, so that jobs end together

    n = 8 * given.jobs
    shares = [(given.driver, "%s.%d" % (given.seed, i),
               given.pairs // n + (i < given.pairs % n)) for i in range(n)]

    # a process that is killed is an error of this kind of pool, not a wait

    with concurrent.futures.ProcessPoolExecutor(given.jobs) as pool:
        for wrong, part in pool.map(share, shares):
            if wrong is not None:
                print(wrong)
                sys.exit(1)

            seen += part

    print("%d pairs of %d documents in %.0f s, no difference"
          % (seen["pairs"], seen["documents"], time.monotonic() - began))
    print("reasons:", ", ".join("%s %d" % (k, v) for k, v in seen.items()
                                if k.islower() and len(k) > 2
                                and k not in ("pairs", "documents")))
    print("verdicts: %d hold, %d do not, %d cannot be evaluated"
          % (seen["1"], seen["0"], seen["e"]))


if __name__ == "__main__":
    main()
