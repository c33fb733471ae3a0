//! One client and one server, in files of one folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::commands::{Commands, Outcome};

/// Paths of a plan and its keys, and the commands on them.
#[derive(Clone, Debug)]
pub struct Session {
    commands: Commands,
    folder: PathBuf,
}

/// What one image cost and gave.
#[derive(Clone, Debug)]
pub struct Classified {
    /// In the network's order.
    pub logits: Vec<f64>,
    /// Wall seconds of encrypt, eval and decrypt, processes included.
    pub seconds: [f64; 3],
    /// What `eval --stats` wrote.
    pub stats: Value,
}

impl Session {
    /// In an existing folder.
    pub fn new(commands: Commands, folder: &Path) -> Self {
        Self {
            commands,
            folder: folder.to_path_buf(),
        }
    }

    /// A file of the session: `plan.bin`, `client.key`, `server.key`, `in.ct`, `out.ct`, `stats.json`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Bytes of a file of the session.
    pub fn size(&self, name: &str) -> Result<u64> {
        let path = self.file(name);
        let size = std::fs::metadata(&path).map(|m| m.len());
        size.with_context(|| path.display().to_string())
    }

    fn line(&self, words: &[&str], paths: &[(&str, &Path)]) -> Vec<OsString> {
        let mut line: Vec<OsString> = words.iter().map(OsString::from).collect();
        for (flag, path) in paths {
            line.extend((!flag.is_empty()).then(|| flag.into()));
            line.push(path.into());
        }
        line
    }

    /// `hecc calibrate` on an array of images.
    pub fn calibrate(&self, model: &Path, data: &Path) -> Result<Outcome> {
        let paths = [("", model), ("--data", data)];
        self.commands
            .succeed(self.line(&["hecc", "calibrate"], &paths))
    }

    /// `hecc compile` with further flags.
    pub fn compile(&self, model: &Path, flags: &[&str]) -> Result<Outcome> {
        let plan = self.file("plan.bin");
        let mut line = self.line(&["hecc", "compile"], &[("", model), ("-o", &plan)]);
        line.extend(flags.iter().map(OsString::from));
        self.commands.succeed(line)
    }

    /// `hecc inspect`.
    pub fn inspect(&self) -> Result<Outcome> {
        let plan = self.file("plan.bin");
        self.commands
            .succeed(self.line(&["hecc", "inspect"], &[("", &plan)]))
    }

    /// `hecc-run keygen`.
    pub fn keygen(&self) -> Result<Outcome> {
        let (plan, client, server) = (
            self.file("plan.bin"),
            self.file("client.key"),
            self.file("server.key"),
        );
        let paths: [(&str, &Path); 3] = [("", &plan), ("--client", &client), ("--server", &server)];
        self.commands
            .succeed(self.line(&["hecc-run", "keygen"], &paths))
    }

    /// `hecc-run debug` on the image of the last [`Session::classify`]; an error where it finds a value
    /// that is not as predicted.
    pub fn debug(&self) -> Result<Outcome> {
        let file = |name| self.file(name);
        let (plan, client, server) = (file("plan.bin"), file("client.key"), file("server.key"));
        let input = file("in.ct");
        let paths: [(&str, &Path); 4] = [
            ("", &plan),
            ("--client", &client),
            ("--server", &server),
            ("", &input),
        ];
        self.commands
            .succeed(self.line(&["hecc-run", "debug"], &paths))
    }

    /// `hecc-run encrypt`, `eval` and `decrypt --json`.
    pub fn classify(&self, image: &Path, threads: Option<u16>) -> Result<Classified> {
        let file = |name| self.file(name);
        let (plan, client, server) = (file("plan.bin"), file("client.key"), file("server.key"));
        let (input, output, stats) = (file("in.ct"), file("out.ct"), file("stats.json"));
        let encrypt: [(&str, &Path); 4] = [
            ("", &plan),
            ("--client", &client),
            ("", image),
            ("-o", &input),
        ];
        let eval: [(&str, &Path); 5] = [
            ("", &plan),
            ("--server", &server),
            ("", &input),
            ("-o", &output),
            ("--stats", &stats),
        ];
        let decrypt: [(&str, &Path); 3] = [("", &plan), ("--client", &client), ("", &output)];
        let encrypt = self.line(&["hecc-run", "encrypt"], &encrypt);
        let mut eval = self.line(&["hecc-run", "eval"], &eval);
        if let Some(threads) = threads {
            eval.extend(["--threads".into(), threads.to_string().into()]);
        }
        let decrypt = self.line(&["hecc-run", "decrypt"], &decrypt);
        let json = [decrypt.clone(), vec!["--json".into()]].concat();

        let encrypted = self.commands.succeed(encrypt)?;
        let evaluated = self.commands.succeed(eval)?;
        // For a person, then for the comparison.
        let decrypted = self.commands.succeed(decrypt)?;
        let json = self.commands.quiet().succeed(json)?;
        let stats = std::fs::read_to_string(stats)?;
        Ok(Classified {
            logits: logits(&serde_json::from_str(&json.stdout)?)?,
            seconds: [encrypted.seconds, evaluated.seconds, decrypted.seconds],
            stats: serde_json::from_str(&stats)?,
        })
    }
}

/// The logits of `decrypt --json`, by index.
fn logits(json: &Value) -> Result<Vec<f64>> {
    let classes = json["classes"].as_array().context("no classes")?;
    let mut logits = vec![f64::NAN; classes.len()];
    for class in classes {
        let index = class["index"].as_u64().context("a class without index")?;
        let place = logits.get_mut(index as usize).context("a wild index")?;
        *place = class["logit"].as_f64().context("a class without logit")?;
    }
    Ok(logits)
}
