"""As much of Rust's grammar as it takes to find the functions of a file."""

import re

# What can hold a brace, a quote or `fn` that is none: comments, strings, characters. Lifetimes look like characters.
OTHER = re.compile(
    r"""//[^\n]*|/\*|b?r(?P<hashes>\#*)"|b?"(?:\\.|[^"\\])*"|b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'|'[A-Za-z_]\w*""",
    re.DOTALL,
)


def blanked(text):
    """The text with all of that replaced by blanks, so that offsets stay."""
    out, at = [], 0
    while found := OTHER.search(text, at):
        end = found.end()
        if found.group() == "/*":
            depth = 1
            while depth:
                mark = re.compile(r"/\*|\*/").search(text, end)
                depth, end = depth + (1 if mark.group() == "/*" else -1), mark.end()
        elif found.group("hashes") is not None:
            end = text.index('"' + found.group("hashes"), end) + 1 + len(found.group("hashes"))
        out += [text[at : found.start()], re.sub(r"[^\n]", " ", text[found.start() : end])]
        at = end
    return "".join(out) + text[at:]


def bodies(text):
    """Where the bodies of functions are, braces included, outer ones first; without those that are run by the compiler."""
    text = blanked(text)
    found = []
    for one in re.finditer(r"\bfn\s+\w+", text):
        if re.search(r"\bconst\s+(unsafe\s+)?$", text[: one.start()]):
            continue
        at, depth = one.end(), 0
        while at < len(text) and not (depth == 0 and text[at] in "{;"):
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[at], 0)
            at += 1
        if at == len(text) or text[at] == ";":
            continue
        start, depth = at, 0
        while True:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
            if depth == 0:
                break
        found.append((start, at))
    return found
