"""Which mutants there are: those of tests/mutants.toml, and a sample of those that `cargo mutants` knows."""

import functools
import json
import os
import random
import re
import subprocess
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIST = os.path.join(ROOT, "tests", "mutants.toml")
# The crates that the sample is drawn from, with the tests that look at each, the quickest first.
SAMPLED = {
    "deltic-store": ["lib deltic-store", "store", "system"],
    "deltic-driver": ["lib deltic-driver", "system", "cli"],
}


class Mutant:
    """One edit, and the tests that should notice it. `span` is given the text of the file, and returns from where to where
    what stands there instead."""

    def __init__(self, name, path, tests, span, promise=""):
        self.name, self.path, self.tests, self.span, self.promise = name, path, tests, span, promise

    def broken(self, text):
        """The file with the edit in it."""
        start, end, new = self.span(text)
        return text[:start] + new + text[end:]


def test_command(spec):
    """The command that a line such as `system incremental:: which_ran::` stands for."""
    suite, *filters = spec.split()
    if suite == "lib":
        package, *filters = filters
        target = ["-p", package, "--lib"]
    elif suite == "all":
        package, *filters = filters
        target = ["-p", package, "--test", "all"]
    elif suite == "store":
        target = ["-p", "deltic-store", "--test", "store"]
    elif suite in ("system", "cli", "races"):
        target = ["-p", "deltic-tests", "--test", suite]
    else:
        raise SystemExit(f"{LIST}: `{spec}` begins with no known suite")
    return ["cargo", "test", "--locked", *target], filters


def unknown_filters(spec):
    """The filters of such a line that no test can have in its name: none of its suite's files says one of their words."""
    suite, *rest = spec.split()
    package = rest[0] if suite in ("lib", "all") else ""
    crate = os.path.join("crates", package.removeprefix("deltic-"))
    folders = {"lib": os.path.join(crate, "src"), "all": os.path.join(crate, "tests", "all"),
               "store": os.path.join("crates", "store", "tests", "store")}
    words = words_below(os.path.join(ROOT, folders.get(suite, os.path.join("tests", suite))))
    return [one for one in test_command(spec)[1] if not all(word in words for word in one.split("::"))]


@functools.cache
def words_below(folder):
    """The paths and the text of all sources below a folder."""
    paths = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(".rs")]
    return "\n".join(path + "\n" + open(path, encoding="utf-8").read() for path in sorted(paths))


def named():
    """The mutants of the list; ends when one does not fit."""
    with open(LIST, "rb") as file:
        rows = tomllib.load(file)["mutant"]
    with open(os.path.join(ROOT, "docs", "guarantees.md"), encoding="utf-8") as file:
        promises = set(re.findall(r"^\| \*\*(\d+)\.", file.read(), re.MULTILINE))
    mutants, problems, names = [], [], set()
    for row in rows:
        name = f"{row['promise']}: {row['broken']}"
        if name in names:
            problems.append(f"`{name}` is listed twice")
        names.add(name)
        if str(row["promise"]) not in promises:
            problems.append(f"`{name}`: docs/guarantees.md has no promise {row['promise']}")
        with open(os.path.join(ROOT, row["file"]), encoding="utf-8") as file:
            text = file.read()
        count = text.count(row["find"])
        if count != 1:
            problems.append(f"`{name}`: what is to be edited is {count} times in {row['file']}, and not once")
        if not row["tests"]:
            problems.append(f"`{name}`: no tests are named")
        for spec in row["tests"]:
            for one in unknown_filters(spec):
                problems.append(f"`{name}`: `{spec}`: no test has `{one}` in its name")

        def span(text, row=row):
            start = text.index(row["find"])
            return start, start + len(row["find"]), row["replace"]

        mutants.append(Mutant(name, row["file"], row["tests"], span, str(row["promise"])))
    if problems:
        raise SystemExit("\n".join(f"tests/mutants.toml: {problem}" for problem in problems))
    return mutants


def sampled(count, seed, crates):
    """Random mutants of `cargo mutants`, as many of each crate as its share of all."""
    found = []
    for crate in crates:
        command = ["cargo", "mutants", "--list", "--json", "--diff", "-p", crate]
        listed = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        # What only tests and simulations are made of is no promise's mechanism.
        found += [(crate, one) for one in listed if "/testing" not in one["file"] and "hostile" not in one["file"]]
    found.sort(key=lambda pair: (pair[1]["file"], pair[1]["name"]))
    chosen = random.Random(seed).sample(found, min(count, len(found)))
    print(f"{len(chosen)} of {len(found)} mutants of {', '.join(crates)}, seed {seed}", flush=True)
    return [Mutant(one["name"], one["file"], SAMPLED[crate], span_of(one)) for crate, one in chosen]


def span_of(one):
    """The edit that a line of `cargo mutants --list --json` describes: lines and columns, in characters, from 1 on."""
    start, end, new = one["span"]["start"], one["span"]["end"], one["replacement"]

    def span(text):
        offsets = [0]
        for line in text.split("\n"):
            offsets.append(offsets[-1] + len(line) + 1)
        at = lambda place: offsets[place["line"] - 1] + place["column"] - 1
        return at(start), at(end), new

    return span
