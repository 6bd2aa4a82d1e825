"""How a mutant is tried: in a copy of the tree, by the tests that should notice it."""

import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time

from .listed import ROOT, test_command

WORK = os.path.join(ROOT, "target", "mutants")
TREE = os.path.join(WORK, "tree")
TEMPORARY = os.path.join(WORK, "tmp")
BUILD_SECONDS = 1800
# What a test that is led astray may take: more than any test needs, less than a machine has.
MEMORY = 8 << 30


def copy_tree():
    """Makes the copy equal to what git knows here, and leaves files alone that are; returns the digest of it all."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    files = sorted(path for path in listed.decode().split("\0") if path and os.path.exists(os.path.join(ROOT, path)))
    digest = hashlib.sha256()
    for path in files:
        with open(os.path.join(ROOT, path), "rb") as file:
            content = file.read()
        if path.endswith((".rs", ".toml", ".lock")) and path != "tests/mutants.toml":
            digest.update(path.encode() + b"\0" + hashlib.sha256(content).digest())
        target = os.path.join(TREE, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target) or open(target, "rb").read() != content:
            shutil.copyfile(os.path.join(ROOT, path), target)
            shutil.copymode(os.path.join(ROOT, path), target)
    known = set(files)
    for folder, folders, names in os.walk(TREE):
        folders[:] = [name for name in folders if name != "target"]
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, TREE) not in known:
                os.remove(path)
    return digest.hexdigest()[:16]


def environment():
    return dict(os.environ, CARGO_TARGET_DIR=os.path.join(WORK, "build"), CARGO_INCREMENTAL="1",
                CARGO_TERM_COLOR="never", RUST_BACKTRACE="0", TMPDIR=TEMPORARY)


def limit():
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def fresh_temporary():
    """Removes what tests that were ended have left behind."""
    shutil.rmtree(TEMPORARY, ignore_errors=True)
    os.makedirs(TEMPORARY)


def failed_test(line):
    """The test that failed, where a line says so. A test that printed in between has its outcome on a line of its own."""
    failed = re.match(r"test (\S+).*\bFAILED$", line.rstrip()) or re.match(r"()FAILED$", line.rstrip())
    return failed.group(1) if failed else None


def bounded(command, seconds, watch, folder=TREE, silent=None):
    """Runs a command until it ends, the time is over, it has said nothing for `silent` seconds, or `watch` has seen enough; returns
    its exit code, or what `watch` returned."""
    process = subprocess.Popen(command, cwd=folder, env=environment(), text=True, errors="replace", start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=limit)
    alarm = subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -9 -{process.pid}"], start_new_session=True)
    seen, last = None, time.monotonic()

    def listen():
        while process.poll() is None:
            if time.monotonic() - last > silent:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(1)

    if silent:
        threading.Thread(target=listen, daemon=True).start()
    try:
        for line in process.stdout:
            last = time.monotonic()
            seen = watch(line)
            if seen is not None:
                break
        else:
            process.wait()
    finally:
        # Also when this command itself is interrupted: what it started has sessions of its own, and is told nothing.
        for one in (process, alarm):
            if one.poll() is None:
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
    return seen if seen is not None else process.returncode


class Trial:
    """Runs tests over the tree as it is. Knows how long whole suites take, so that what hangs is ended."""

    def __init__(self):
        self.seconds = {}

    def check(self, specs):
        """Runs the suites of tests over a tree that nothing is wrong with; ends where one fails."""
        for spec in specs:
            suite = spec.split()[0:2] if spec.split()[0] in ("lib", "all") else spec.split()[0:1]
            suite = " ".join(suite)
            if suite in self.seconds:
                continue
            self.seconds[suite] = BUILD_SECONDS
            self.build(suite)
            start = time.monotonic()
            outcome, by = self.tests([suite])
            self.seconds[suite] = time.monotonic() - start
            if outcome != "survived":
                raise SystemExit(f"nothing is wrong with the tree, and yet: {suite}: {outcome} {by}")
            print(f"{suite}: passes in {self.seconds[suite]:.0f} s", flush=True)

    def build(self, spec):
        """Builds the tests; returns the first error."""
        lines = []
        built = bounded([*test_command(spec)[0], "--no-run"], BUILD_SECONDS, lambda line: lines.append(line))
        return None if built == 0 else next((line.strip() for line in lines if line.startswith("error")), "an error")

    def tests(self, specs):
        """What the tests make of the tree: an outcome, and which test noticed."""
        for spec in specs:
            fresh_temporary()
            error = self.build(spec)
            if error:
                return "does not compile", error
            command, filters = test_command(spec)
            counted = []

            def watch(line):
                if re.match(r"test result: .* [1-9]\d* passed", line):
                    counted.append(line)
                failed = failed_test(line)
                return None if failed is None else f"{spec.split()[0]} {failed}".strip()

            known = [seconds for suite, seconds in self.seconds.items() if (spec + " ").startswith(suite + " ")]
            ended = bounded([*command, "--", *filters], 60 + int(3 * max(known, default=600)), watch)
            if isinstance(ended, str):
                return "caught", ended
            if ended != 0:
                return "caught", f"{spec}: " + ("took too long" if ended == -9 else f"ended with {ended}")
            if not counted:
                return "runs no test", spec
        return "survived", ""
