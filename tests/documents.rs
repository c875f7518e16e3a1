//! Commands that documents show exist: verbs and flags are held against the program's own help.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every document, alert and manifest that names our commands.
fn files() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![top.join("README.md")];
    let mut folders = vec![top.join("docs"), top.join("k8s")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|it| it.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("md" | "yaml") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// What stands in fenced blocks of shell, line by line (continued lines joined), and between
/// backticks elsewhere.
fn shown(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fence: Option<bool> = None;
    let mut prose = String::new();
    for line in text.replace("\\\n", " ").lines() {
        match (line.trim().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(language), None) => fence = Some(language == "sh"),
            (None, Some(true)) => found.push(line.to_owned()),
            (None, Some(false)) => {}
            (None, None) => prose.push_str(&format!("{line}\n")),
        }
    }
    let quoted = prose.split('`').enumerate().filter(|(index, _)| index % 2 == 1);
    found.extend(quoted.map(|(_, text)| text.replace('\n', " ")));
    found
}

/// The commands of ours in a line of shell, each as its words.
fn commands(line: &str) -> Vec<Vec<String>> {
    // A comment ends the line; what follows one of these is another command.
    let line = line.split(" #").next().unwrap_or_default();
    let mut all = Vec::new();
    for part in line.split(['|', ';', '&']) {
        let words: Vec<String> = part.split_whitespace().map(str::to_owned).collect();
        // The last one: `docker compose exec aidp-backup aidp-backup now`.
        let at =
            words.iter().rposition(|word| word == "aidp-backup" || word == "/usr/bin/aidp-backup");
        // A verb follows, or it is the name of something else.
        if let Some(at) = at
            && let Some(verb) = words.get(at + 1)
            && verb.chars().all(|letter| letter.is_ascii_lowercase())
        {
            all.push(words[at + 1..].to_vec());
        }
    }
    all
}

/// The program's help, by verb.
#[derive(Default)]
struct Help(HashMap<Vec<String>, Option<String>>);

impl Help {
    fn of(&mut self, verb: &[String]) -> Option<String> {
        let ask = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_aidp-backup"));
            let output = command.args(verb).arg("--help").output().unwrap();
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
        };
        self.0.entry(verb.to_vec()).or_insert_with(ask).clone()
    }

    /// What is wrong with a command, if something is.
    fn objection(&mut self, words: &[String]) -> Option<String> {
        let nested = ["history", "config", "drill"].contains(&words[0].as_str());
        let has_second = words.get(1).is_some_and(|it| !it.starts_with('-'));
        let is_job = (nested || words[0] == "now") && has_second;
        let verb = &words[..if is_job { 2 } else { 1 }];
        let Some(help) = self.of(verb) else {
            return Some(format!("there is no `{}`", verb.join(" ")));
        };
        let knows = |flag: &str| {
            help.split(|it: char| it.is_whitespace() || ",[]=.".contains(it)).any(|it| it == flag)
        };
        // What follows `--` is another program's.
        let ours = words[verb.len()..].iter().take_while(|word| *word != "--");
        ours.filter(|word| word.starts_with('-') && word.len() > 1).find_map(|word| {
            let flag = word.split('=').next().unwrap_or_default().trim_end_matches([')', ',', '.']);
            (!knows(flag)).then(|| format!("`{}` has no {flag}", verb.join(" ")))
        })
    }
}

#[test]
fn every_command_in_a_document_exists() {
    let (mut help, mut count, mut wrong) = (Help::default(), 0, Vec::new());
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in shown(&text) {
            for words in commands(&line) {
                count += 1;
                if let Some(what) = help.objection(&words) {
                    wrong.push(format!("{}: {line}: {what}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 60, "{count} commands found");
}

#[test]
fn a_verb_or_flag_that_does_not_exist_is_found() {
    let mut help = Help::default();
    let mut objection = |line: &str| {
        let words = commands(line).pop().unwrap();
        help.objection(&words).unwrap_or_default()
    };
    assert_eq!(
        objection("X=y aidp-backup restore latest --into a --creat"),
        "`restore` has no --creat"
    );
    assert_eq!(objection("x && aidp-backup history lost"), "there is no `history lost`");
    assert_eq!(
        objection("kubectl exec aidp-backup -- aidp-backup now dance"),
        "there is no `now dance`"
    );
    assert_eq!(objection("aidp-backup restore latest --into a --create -j 4 # --nothing"), "");
    assert_eq!(objection("aidp-backup backup"), "there is no `backup`");
}
