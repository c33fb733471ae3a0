//! The layers of ARCHITECTURE.md are Cargo edges: what a crate must not know, it cannot reach.

use std::collections::{BTreeMap, BTreeSet};

use hecc_tests::folders::root;
use toml::Table;

/// Crates of the workspace to the crates of the workspace they depend on, tests left out.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let read = |path: &str| -> Table {
        let text = std::fs::read_to_string(root().join(path).join("Cargo.toml")).unwrap();
        text.parse().unwrap()
    };
    let members = read("")["workspace"]["members"].as_array().unwrap().clone();
    let mut edges = BTreeMap::new();
    for member in members {
        let manifest = read(member.as_str().unwrap());
        let mut to = BTreeSet::new();
        let targets = manifest.get("target").and_then(|t| t.as_table());
        let targets = targets.into_iter().flat_map(|t| t.values());
        for table in std::iter::once(&toml::Value::Table(manifest.clone())).chain(targets) {
            for kind in ["dependencies", "build-dependencies"] {
                let crates = table.get(kind).and_then(|d| d.as_table());
                to.extend(crates.into_iter().flat_map(|d| d.keys().cloned()));
            }
        }
        to.retain(|name| name.starts_with("hecc"));
        edges.insert(manifest["package"]["name"].as_str().unwrap().into(), to);
    }
    edges
}

fn reachable(edges: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_string()];
    while let Some(name) = open.pop() {
        for to in &edges[&name] {
            if seen.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    seen
}

#[test]
fn layers_are_edges() {
    let edges = edges();
    let check = |from: &str, expect: &[&str]| {
        let expect: BTreeSet<String> = expect.iter().map(|s| s.to_string()).collect();
        assert_eq!(reachable(&edges, from), expect, "reachable from {from}");
    };
    check("hecc-ir", &[]);
    check("hecc-ckks", &[]);
    check("hecc-client", &["hecc-ckks"]);
    check("hecc-images", &["hecc-ir"]);
    check("hecc-passes", &["hecc-ir"]);
    check("hecc-backend", &["hecc-ir"]);
    check("hecc-simulator", &["hecc-ir"]);
    check("hecc-batch", &["hecc-ir"]);
    let learning = ["hecc-batch", "hecc-ir", "hecc-passes"];
    check("hecc-search", &learning);
    check("hecc-train", &learning);
    // The compiler never links the cryptography.
    let compiler = [
        "hecc-backend",
        "hecc-batch",
        "hecc-images",
        "hecc-ir",
        "hecc-passes",
        "hecc-search",
        "hecc-simulator",
        "hecc-train",
    ];
    check("hecc-frontend", &compiler);
    // The server's side has no type that could hold a secret.
    check("hecc-runtime", &["hecc-ckks", "hecc-ir"]);
    let both = [
        "hecc-ckks",
        "hecc-client",
        "hecc-images",
        "hecc-ir",
        "hecc-runtime",
        "hecc-simulator",
    ];
    check("hecc-run", &both);
}
