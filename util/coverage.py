# Copyright (C) the nginx gray module authors

"""coverage.py --counts=DIR [--free] [--list [NAME ...]]

Called by util/coverage: DIR has the counts of a run, those of the module and
those of the unit tests, each with what the compiler wrote for gcov.

Prints a table and the functions that were not reached.  Fails, unless --free
is given, where less was reached than the constants below want, and where
util/coverage.expected is not right: for each branch of the files of STRICT
that was not taken it has to say why, and of no other.

A line there is

    NAME FUNCTION 'TEXT OF THE LINE' NUMBER[,NUMBER...] REASON

NAME stands for ngx_http_gray_NAME.c.  The branches are numbered as gcov has
them in the line, and go on in the next line of the function that has the
same text; so an entry holds where lines move.  A REASON that begins with
"sometimes" is for what depends on time: such a branch may be taken, too.
"""

import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys


TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXPECTED = "util/coverage.expected"

# percent over all

LINES = 90
BRANCHES = 80

# percent of the branches of each of these

STRICT = {"journal": 95, "lines": 95, "shm": 95}

# what only builds for tests have

TOOLS = {"failpoint"}


class File:
    """what is known of ngx_http_gray_NAME.c"""

    def __init__(self, name):
        self.name = name
        self.lines = collections.Counter()
        self.functions = collections.Counter()

        # by function and line: a count for each branch

        self.branches = {}

        # lines that the module and the unit tests have other branches of

        self.unlike = set()

        with open(path(name), encoding="utf-8") as file:
            self.text = file.read().split("\n")

    def add(self, data):
        """a file as gcov prints it"""

        for function in data["functions"]:
            self.functions[function["name"]] += function["execution_count"]

        for line in data["lines"]:
            number = line["line_number"]
            place = (line.get("function_name", ""), number)
            counts = [branch["count"] for branch in line["branches"]]

            self.lines[number] += line["count"]

            if not counts:
                continue

            old = self.branches.setdefault(place, counts)

            if old is counts:
                continue

            if len(old) == len(counts):
                self.branches[place] = [a + b for a, b in zip(old, counts)]
            else:
                self.unlike.add(number)

    def every(self):
        """(function, text, number): count, of each branch"""

        found = {}
        following = collections.Counter()

        for (function, line), counts in sorted(self.branches.items()):
            text = " ".join(self.text[line - 1].split())

            for count in counts:
                number = following[function, text]
                following[function, text] += 1
                found[function, text, number] = count

        return found

    def reached(self):
        """lines reached, lines, branches taken, branches"""

        counts = [n for line in self.branches.values() for n in line]

        return (sum(map(bool, self.lines.values())), len(self.lines),
                sum(map(bool, counts)), len(counts))


def path(name):
    return os.path.join(TOP, "ngx_http_gray_%s.c" % name)


# -- counts

def gcov(directory):
    """files as gcov has them, of a directory of counts"""

    notes = sorted(glob.glob(os.path.join(directory, "*.gcno")))

    if not notes:
        return

    # what was never loaded has no counts; gcov says so and has zeros

    done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-counts",
                           "--branch-probabilities"] + notes,
                          cwd=directory, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, text=True)

    if done.returncode != 0:
        sys.exit("gcov: " + done.stderr[-2000:])

    for line in done.stdout.splitlines():
        if line:
            yield from json.loads(line)["files"]


def load(counts):
    files = {}

    # the module first: its branches stay where the others are not like them

    for part in "module", "unit":
        for data in gcov(os.path.join(counts, part)):
            match = re.fullmatch(r"ngx_http_gray_(\w+)\.c",
                                 os.path.basename(data["file"]))

            if match and match.group(1) not in TOOLS:
                name = match.group(1)
                files.setdefault(name, File(name)).add(data)

    return files


# -- what is expected

def expected():
    """(name, function, text, number): reason, and what is wrong there"""

    reasons, wrong = {}, []

    with open(os.path.join(TOP, EXPECTED), encoding="utf-8") as file:
        for at, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue

            match = re.fullmatch(r"(\w+) (\w+) '(.*?)' (\d+(?:,\d+)*) (\S.*)\n",
                                 line)

            if not match:
                wrong.append("%s:%d: cannot be understood" % (EXPECTED, at))
                continue

            name, function, text, numbers, reason = match.groups()

            if name not in STRICT:
                wrong.append("%s:%d: \"%s\" is no file that is listed here"
                             % (EXPECTED, at, name))

            if reason.startswith("REASON"):
                wrong.append("%s:%d: has no reason" % (EXPECTED, at))

            for number in numbers.split(","):
                reasons[name, function, text, int(number)] = reason

    return reasons, wrong


def entries(name, branches):
    """lines as the list has them, of (function, text, number)"""

    grouped = collections.OrderedDict()

    for function, text, number in branches:
        grouped.setdefault((function, text), []).append(number)

    return ["%s %s '%s' %s" % (name, function, text,
                               ",".join(map(str, numbers)))
            for (function, text), numbers in grouped.items()]


def missed(file):
    return [key for key, count in file.every().items() if not count]


def compare(files):
    """what is wrong with the list, in words"""

    reasons, wrong = expected()
    known = set()

    for name in sorted(STRICT):
        if name not in files:
            continue

        branches = files[name].every()
        known.update((name,) + key for key in branches)

        wrong += ["not taken, and not in %s: %s" % (EXPECTED, entry)
                  for entry in entries(name, [
                      key for key, count in branches.items()
                      if not count and (name,) + key not in reasons])]

        wrong += ["taken, and yet in %s: %s" % (EXPECTED, entry)
                  for entry in entries(name, [
                      key for key, count in branches.items()
                      if count and not reasons.get(
                          (name,) + key, "sometimes").startswith("sometimes")])]

    for name, function, text, number in sorted(set(reasons) - known):
        if name in STRICT:
            wrong += ["no such branch, but in %s: %s" % (EXPECTED, entry)
                      for entry in entries(name, [(function, text, number)])]

    return wrong


# -- what is printed

def percent(part, whole):
    return 100 * part / whole if whole else 100


def row(name, reached):
    lines, of_lines, branches, of_branches = reached

    print("%-14s %6.1f%% %5d/%-5d  %6.1f%% %5d/%-5d"
          % (name, percent(lines, of_lines), lines, of_lines,
             percent(branches, of_branches), branches, of_branches))


def report(files):
    """the table; what is less than it should be, in words"""

    wrong = []
    total = [0, 0, 0, 0]

    print("%-14s %-20s %s" % ("", "   lines", "   branches"))

    for name, file in sorted(files.items()):
        reached = file.reached()
        total = [a + b for a, b in zip(total, reached)]
        row(name, reached)

        if percent(*reached[2:]) < STRICT.get(name, 0):
            wrong.append("%s: branches %.1f%%, %d%% are wanted"
                         % (name, percent(*reached[2:]), STRICT[name]))

    row("total", total)

    if percent(*total[:2]) < LINES:
        wrong.append("lines %.1f%%, %d%% are wanted"
                     % (percent(*total[:2]), LINES))

    if percent(*total[2:]) < BRANCHES:
        wrong.append("branches %.1f%%, %d%% are wanted"
                     % (percent(*total[2:]), BRANCHES))

    wrong += ["there are no counts of \"%s\"" % name
              for name in sorted(STRICT) if name not in files]

    idle = [(name, function) for name, file in sorted(files.items())
            for function, count in sorted(file.functions.items()) if not count]

    print("\nfunctions not reached: %s" % (len(idle) or "none"))

    for name, function in idle:
        print("    %-14s %s" % (name, function))

    for name, file in sorted(files.items()):
        if file.unlike:
            print("%s: branches of the unit tests are not counted, as they"
                  " are not those of the module, in line %s"
                  % (name, ", ".join(map(str, sorted(file.unlike)))))

    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", required=True)
    parser.add_argument("--free", action="store_true")
    parser.add_argument("--list", nargs="*")
    option = parser.parse_args()

    files = load(option.counts)

    if not files:
        sys.exit("there are no counts")

    if option.list is not None:
        for name in option.list or sorted(set(STRICT) & set(files)):
            if name not in files:
                sys.exit("there are no counts of \"%s\"" % name)

            for entry in entries(name, missed(files[name])):
                print(entry + " REASON")

        return

    wrong = report(files)

    if option.free:
        return

    wrong += compare(files)

    if wrong:
        sys.stdout.flush()
        sys.exit("\n" + "\n".join(wrong))


main()
