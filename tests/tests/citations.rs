//! Every paper that a comment cites is in REFERENCES.md.

use std::collections::BTreeSet;
use std::path::Path;

use hecc_tests::folders::root;

/// `BTH22`, `LLK+22`, `2024/463`, `Orion`.
fn is_key(text: &str) -> bool {
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &text[letters.len()..];
    let authors = letters.starts_with(|c: char| c.is_ascii_uppercase())
        && letters.chars().all(|c| c.is_ascii_alphabetic() || c == '+');
    let report = text.split_once('/').is_some_and(|(year, number)| {
        year.len() == 4 && [year, number].iter().all(|t| t.parse::<u32>().is_ok())
    });
    text == "Orion" || report || (authors && digits.len() == 2)
}

/// Keys in square brackets of comments below `folder`.
fn cited(folder: &Path, keys: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            cited(&path, keys);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let comments = text.lines().filter_map(|line| line.split_once("//"));
            for group in comments.flat_map(|(_, comment)| comment.split('[').skip(1)) {
                let inside = group.split(']').next().unwrap_or_default();
                let parts = inside.split(',').map(str::trim);
                keys.extend(parts.filter(|key| is_key(key)).map(String::from));
            }
        }
    }
}

#[test]
fn citations_resolve() {
    let references = std::fs::read_to_string(root().join("REFERENCES.md")).unwrap();
    let mut keys = BTreeSet::new();
    cited(&root(), &mut keys);
    assert!(keys.len() > 5, "{keys:?}");
    for key in keys {
        let entry = format!("**[{key}]**");
        assert!(
            references.contains(&entry),
            "[{key}] is not in REFERENCES.md"
        );
    }
}
