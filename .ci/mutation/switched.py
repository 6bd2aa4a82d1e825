"""One tree that holds many mutants at once: each function has its broken bodies beside the right one, and a file says which
of them runs. So a build serves all of them; without that most of the time of a mutation run goes into building.

Not every edit has such a form: one outside of functions, or in a body whose type has no name. They are left to be built one
by one, and so is what does not compile here, since it may do so by itself."""

import json
import os
import re
import subprocess

from . import rust

ASKS = '''
/// Whether a mutant was chosen. Where none was, but a file, those that are asked for are noted in that file.
#[allow(missing_docs, unreachable_pub, dead_code)]
pub(crate) fn is_mutant(number: usize) -> bool {
    use std::sync::atomic::{AtomicBool, Ordering};
    static CHOSEN: std::sync::OnceLock<std::result::Result<usize, String>> = std::sync::OnceLock::new();
    static ASKED: [AtomicBool; @COUNT@] = [const { AtomicBool::new(false) }; @COUNT@];
    let chosen = || {
        let text = std::fs::read_to_string("@CHOSEN@").unwrap_or_default();
        text.trim().parse().map_err(|_| text.trim().to_owned())
    };
    match CHOSEN.get_or_init(chosen) {
        Ok(chosen) => *chosen == number,
        Err(path) => {
            if !ASKED[number].swap(true, Ordering::Relaxed)
                && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
            {
                let _ = std::io::Write::write_all(&mut file, format!("{number}\\n").as_bytes());
            }
            false
        }
    }
}
'''


def function_of(text, edit, found):
    """The innermost function body that an edit lies in: what it begins with, and what it ends with."""
    start, end, _ = edit
    around = [body for body in found if body[0] < start and end < body[1]]
    return max(around, default=None)


def switch(text, edits, found, ask):
    """A file with these edits in it: a list of (number, (start, end, replacement), body)."""
    by_body = {}
    for number, edit, body in edits:
        by_body.setdefault(body, []).append((number, edit))

    def render(start, end):
        out, at = [], start
        while True:
            inside = [body for body in by_body if at <= body[0] and body[1] <= end and body != (start, end)]
            # The outer one of two that begin first.
            body = min(inside, key=lambda body: (body[0], -body[1]), default=None)
            if body is None:
                return "".join(out) + text[at:end]
            out += [text[at : body[0]], "{"]
            for number, (from_, to, new) in by_body[body]:
                broken = text[body[0] : from_] + new + text[to : body[1]]
                out.append(f"/*mutant {number}*/ if {ask}({number}) {broken} /*end {number}*/ else ")
            out += [render(*body), "}"]
            at = body[1]

    return render(0, len(text))


def mutants_near(text, line):
    """The mutants that a line of a switched file belongs to, or those of the function that it is in."""
    offset = sum(len(one) + 1 for one in text.split("\n")[: line - 1])
    end = offset + len(text.split("\n")[line - 1])
    own = [int(one.group(1)) for one in re.finditer(r"/\*mutant (\d+)\*/.*?/\*end \1\*/", text, re.DOTALL)
           if one.start() <= end and offset <= one.end()]
    if own:
        return own
    around = [body for body in rust.bodies(text) if body[0] <= end and offset <= body[1]]
    numbers = [re.findall(r"/\*mutant (\d+)\*/", text[body[0] : body[1]]) for body in around]
    return [int(one) for some in numbers[-1:] or numbers for one in some]


class Switched:
    """The mutants of a list that could be built together; `chosen` is the file that says which one runs."""

    def __init__(self, tree, mutants, chosen, build):
        self.tree, self.chosen, self.build = tree, chosen, build
        self.edits, self.sources, self.count = {}, {}, len(mutants) + 1
        for number, mutant in enumerate(mutants, 1):
            root = re.match(r"crates/[\w-]+/src/", mutant.path + "/")
            if not root or re.search(r"/src/(main\.rs|bin/)", mutant.path):
                continue
            if mutant.path not in self.sources:
                with open(os.path.join(tree, mutant.path), encoding="utf-8") as file:
                    text = file.read()
                self.sources[mutant.path] = text, rust.bodies(text)
            text, found = self.sources[mutant.path]
            edit = mutant.span(text)
            body = function_of(text, edit, found)
            if body:
                self.edits[number] = mutant, edit, body

    def write(self):
        """Writes the tree's files; returns what they are."""
        written = {}
        for path, (text, found) in self.sources.items():
            edits = [(number, edit, body) for number, (mutant, edit, body) in self.edits.items() if mutant.path == path]
            written[path] = switch(text, edits, found, "crate::is_mutant")
        for root in {re.match(r"crates/[\w-]+/src", path).group() for path in self.sources}:
            path = os.path.join(root, "lib.rs")
            text = written.get(path)
            if text is None:
                with open(os.path.join(self.tree, path), encoding="utf-8") as file:
                    text = file.read()
                self.sources[path] = text, []
            written[path] = text + ASKS.replace("@COUNT@", str(self.count)).replace("@CHOSEN@", self.chosen)
        for path, text in written.items():
            path = os.path.join(self.tree, path)
            with open(path, encoding="utf-8") as file:
                is_new = file.read() != text
            if is_new:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
        return written

    def restore(self):
        """Puts the files back as they were."""
        for path, (text, _) in self.sources.items():
            with open(os.path.join(self.tree, path), "w", encoding="utf-8") as file:
                file.write(text)

    def choose(self, number):
        """Switches one on; none where it is 0; a path instead has those noted there that are asked for."""
        with open(self.chosen, "w", encoding="utf-8") as file:
            file.write(str(number))

    def settle(self):
        """Leaves out what does not compile, until the rest does. Builds it: some errors come after what `cargo check` looks at."""
        self.choose(0)
        while True:
            written = self.write()
            command = ["cargo", "build", "--locked", "--keep-going", "--message-format=json", "--workspace", "--lib"]
            done = subprocess.run(command, cwd=self.tree, env=self.build, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
            if done.returncode == 0:
                return
            bad = set()
            for line in done.stdout.splitlines():
                message = json.loads(line).get("message") or {}
                if message.get("level") == "error":
                    spans = [span for span in message["spans"] if span["is_primary"]] or message["spans"]
                    for span in spans:
                        # Of a macro, the place where it is called.
                        while span["file_name"] not in written and span.get("expansion"):
                            span = span["expansion"]["span"]
                        for line in range(span["line_start"], span["line_end"] + 1):
                            if span["file_name"] in written:
                                bad.update(mutants_near(written[span["file_name"]], line))
            if not bad & set(self.edits):
                rendered = [(json.loads(line).get("message") or {}).get("rendered") or "" for line in done.stdout.splitlines()]
                raise SystemExit(f"mutants do not compile together:\n{''.join(rendered)[:4000]}{done.stderr[-4000:]}")
            print(f"{len(self.edits)} mutants in one tree, {len(bad)} are left to be built alone", flush=True)
            self.edits = {number: edit for number, edit in self.edits.items() if number not in bad}
