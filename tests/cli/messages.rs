//! One page with all messages, so that a change of a message shows in one place, and all of them can be read at once.
//!
//! Its first part has the output of the commands in the transcripts, and in the manuals that are checked like them. Its second
//! part has the texts that the tests of this binary expect in messages. Both are sorted, and `N` replaces each number, so that a
//! message occurs once. JSON documents, help and listings are left out.
//!
//! `UPDATE_EXPECT=1` rewrites the page. Run this test again after the transcripts have changed.

use std::collections::BTreeSet;
use std::path::Path;

use expect_test::expect_file;

/// The beginnings of assertions about messages.
const ASSERTIONS: [&str; 3] = ["contains(\"", "starts_with(\"", "ends_with(\""];

#[test]
fn all_messages_are_on_one_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut in_transcripts, mut in_tests) = (BTreeSet::new(), BTreeSet::new());
    let mut pages = files(&root.join("cli/transcripts"), "md");
    pages.extend(["cli", "configuration"].map(|name| root.join(format!("../docs/{name}.md"))));
    for page in pages {
        // Help has its own page, and scripts of shells are no messages.
        if !page.ends_with("help.md") && !page.ends_with("shells.md") {
            in_transcripts.extend(printed(&std::fs::read_to_string(page).unwrap()));
        }
    }
    for source in files(&root.join("cli"), "rs").into_iter().filter(|source| !source.ends_with("messages.rs")) {
        in_tests.extend(expected(&std::fs::read_to_string(source).unwrap()));
    }
    let part = |lines: BTreeSet<String>| lines.into_iter().collect::<Vec<_>>().join("\n");
    let page = format!("# Printed\n\n{}\n\n# Expected by tests\n\n{}\n", part(in_transcripts), part(in_tests));
    expect_file![root.join("cli/messages.txt")].assert_eq(&page);
}

fn files(folder: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// The lines that commands print in a transcript.
fn printed(page: &str) -> Vec<String> {
    let fences = page.split("```console\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let is_typed = |line: &&str| line.starts_with("$ ") || line.starts_with('>') || line.starts_with("[exit ");
    fences.flat_map(str::lines).filter(|line| !is_typed(line)).filter_map(message).collect()
}

/// The texts that a test expects in a message.
fn expected(source: &str) -> Vec<String> {
    let texts = ASSERTIONS.iter().flat_map(|assertion| source.split(assertion).skip(1));
    texts.filter_map(|rest| message(rest.split("\")").next()?)).collect()
}

/// A line in the form of the page, if it is a message: a sentence, and not a row of a listing or a part of a document.
fn message(line: &str) -> Option<String> {
    let words = line.split_whitespace().filter(|word| word.chars().all(|c| c.is_alphabetic() || "`:;,'".contains(c)));
    let is_indented = line.starts_with("    ");
    let is_data =
        is_indented || line.trim_start().starts_with(['{', '}', '[', ']', '"', '#', '|', '-']) || line.contains(" = ");
    let is_sentence = line.starts_with("error: ") || line.starts_with("warning: ") || words.count() >= 3;
    (is_sentence && (!is_data || line.starts_with("error: "))).then(|| without_numbers(line.trim_end()))
}

/// The text with `N` for each number, and for each digest.
fn without_numbers(line: &str) -> String {
    let is_number = |word: &str| {
        let is_digest = word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest || word.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut text = String::new();
    for part in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match !word.is_empty() && is_number(word) {
            true => text.extend(["N", &part[word.len()..]]),
            false => text.push_str(part),
        }
    }
    text
}
