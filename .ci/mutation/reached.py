"""Which tests come by which mutants of a tree that holds them all. A test that never comes by a mutant can not notice it, and
most tests of a large suite come by few: so trying a random mutant takes seconds, and one that no test comes by none at all.

Each test runs by itself once, in a process of its own, and what it comes by is noted, by all processes that it starts too."""

import json
import os
import subprocess
import time

from .listed import test_command
from .trial import TEMPORARY, TREE, bounded, environment, failed_test, fresh_temporary

# What takes longer by itself is not asked: random mutants are many.
LONGEST_SECONDS = 20


class Suite:
    """A binary of tests, and what each of its tests comes by."""

    def __init__(self, spec):
        self.spec, self.left_out = spec, []
        # By test: its seconds, and the numbers of the mutants.
        self.tests = {}
        command = [*test_command(spec)[0], "--no-run", "--message-format=json"]
        built = subprocess.run(command, cwd=TREE, env=environment(), check=True, text=True, stdout=subprocess.PIPE)
        made = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
        [made] = [one for one in made if one.get("executable") and one["profile"]["test"]]
        self.binary, self.folder = made["executable"], os.path.dirname(made["manifest_path"])

    def run(self, names, seconds, watch, silent=None):
        """Runs some of its tests; returns the exit code, or what `watch` returned."""
        fresh_temporary()
        return bounded([self.binary, "--exact", *names], seconds, watch, self.folder, silent)

    def look(self, choose):
        """Finds out what each of its tests comes by."""
        noted = os.path.join(os.path.dirname(TEMPORARY), "noted")
        choose(noted)
        listed = subprocess.run([self.binary, "--list", "--format=terse"], cwd=self.folder, env=environment(), check=True,
                                text=True, stdout=subprocess.PIPE).stdout
        ignored = subprocess.run([self.binary, "--list", "--format=terse", "--ignored"], cwd=self.folder, env=environment(),
                                 check=True, text=True, stdout=subprocess.PIPE).stdout
        names = {line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")}
        names -= {line.removesuffix(": test") for line in ignored.splitlines()}
        for name in sorted(names):
            if os.path.exists(noted):
                os.remove(noted)
            start = time.monotonic()
            ended = self.run([name], LONGEST_SECONDS, lambda line: None)
            if ended == -9:
                self.left_out.append(name)
                continue
            numbers = set()
            if os.path.exists(noted):
                with open(noted, encoding="utf-8") as file:
                    numbers = {int(line) for line in file}
            seconds = time.monotonic() - start
            if ended != 0:
                # Noting takes memory and a file, and there are tests that count these.
                choose(0)
                ended = self.run([name], LONGEST_SECONDS, lambda line: None)
                choose(noted)
            if ended != 0:
                raise SystemExit(f"nothing is wrong with the tree, and yet: {self.spec}: {name}: ended with {ended}")
            self.tests[name] = seconds, numbers
        choose(0)
        print(f"{self.spec}: {len(self.tests)} tests, {len(self.left_out)} more take over {LONGEST_SECONDS} s each", flush=True)

    def try_one(self, number):
        """What its tests that come by a mutant make of it: which one noticed, or nothing; and how many there are."""
        names = sorted(name for name, (_, numbers) in self.tests.items() if number in numbers)
        if not names:
            return None, 0
        seconds = [self.tests[name][0] for name in names]
        # One that is led into a loop is found out by its silence.
        ended = self.run(names, 30 + int(4 * sum(seconds)), failed_test, 60 + int(10 * max(seconds)))
        if isinstance(ended, str):
            return f"{self.spec.split()[0]} {ended}".strip(), len(names)
        if ended != 0:
            return f"{self.spec}: " + ("took too long" if ended == -9 else f"ended with {ended}"), len(names)
        return None, len(names)


class Reached:
    """Tries mutants by the tests that come by them."""

    def __init__(self, trial, specs, choose):
        self.suites = {spec: Suite(spec) for spec in specs}
        for spec, suite in self.suites.items():
            suite.look(choose)
            trial.seconds[spec] = sum(seconds for seconds, _ in suite.tests.values())

    def tests(self, number, specs):
        """An outcome, and which test noticed."""
        tried = 0
        for spec in specs:
            by, count = self.suites[spec].try_one(number)
            tried += count
            if by:
                return "caught", by
        return ("survived", f"{tried} tests") if tried else ("survived", "no test comes by it")
