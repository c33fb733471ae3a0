//! A small network on an insecure ring, and the command run on it.

// Each test uses a part of this.
#![allow(dead_code)]

pub mod plans;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hecc_ir::costs::CostTable;
use hecc_ir::layout::Layout;
use hecc_ir::nn::{Linear, Shape, Window};
use hecc_ir::params::Parameters;
use hecc_ir::plan::{Plan, Preprocess};
use hecc_ir::program::{LinearMap, Node, Op, Program};

const LOG_N: u32 = 11;
const SLOTS: usize = 1 << (LOG_N - 1);
const DEGREE: usize = 15;
const SCALE: f64 = (1u64 << 30) as f64;
/// Channels of the image and of the hidden layers.
const IMAGE: usize = 2;
const HIDDEN: usize = 8;

/// Reproducible numbers in [-1, 1).
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    next();
    (0..count).map(|_| next()).collect()
}

/// The image of the tests, [2, 4, 4].
pub fn image() -> Vec<f32> {
    numbers(IMAGE * 16, 99)
}

fn layout(channels: usize, side: usize, copies: usize, twist: usize) -> Layout {
    Layout {
        slots: SLOTS,
        parts: 1,
        shape: Shape::new(channels, side, side),
        gap: 1,
        rows: side,
        cols: side,
        copies,
        twist,
    }
}

/// conv, activation, conv plus skip, activation, fully connected with a fold: every operator of the
/// ckks language, with a change of twist at the first activation. `seed` picks the weights.
pub fn plan(seed: u64) -> Plan {
    let map = |stage: Linear, giant: usize, fold: bool| LinearMap {
        stages: vec![stage],
        gain: 1.0,
        bias_gain: 1.0,
        fold,
        giant,
    };
    let conv = |from: usize, seed| Linear::Conv {
        weight: numbers(HIDDEN * from * 9, seed)
            .iter()
            .map(|w| w * 0.2)
            .collect(),
        bias: numbers(HIDDEN, seed + 1).iter().map(|w| w * 0.2).collect(),
        out_channels: HIDDEN,
        window: Window::same(3, 1),
    };
    let dense = Linear::Gemm {
        weight: numbers(5 * HIDDEN * 16, seed + 5)
            .iter()
            .map(|w| w * 0.1)
            .collect(),
        bias: numbers(5, seed + 6),
        rows: 5,
    };
    let activate = |x| Op::Activate {
        x,
        coefficients: numbers(DEGREE + 1, 7)
            .iter()
            .enumerate()
            .map(|(k, &c)| f64::from(c) / (1 + k * k) as f64)
            .collect(),
        rho: 0.92,
    };
    // A copy of eight 4x4 channels takes 128 slots; a turn moves blocks of 64.
    let (plain, twisted) = (layout(HIDDEN, 4, 8, 0), layout(HIDDEN, 4, 8, 64));
    let node = |op, name: &str, layout: &Layout, level| Node {
        op,
        name: name.into(),
        layout: layout.clone(),
        level,
        scale: SCALE,
        unit: 1.0,
        target: None,
    };
    let identity = Linear::Affine {
        scale: vec![0.5; HIDDEN],
        shift: vec![0.0; HIDDEN],
    };
    let mut nodes = vec![
        node(Op::Input, "image", &layout(IMAGE, 4, 32, 0), 3),
        node(Op::Linear { x: 0, map: 0 }, "conv1", &plain, 2),
        node(activate(1), "relu1", &twisted, 3),
        node(Op::Linear { x: 2, map: 1 }, "conv2", &plain, 2),
        node(Op::Linear { x: 2, map: 2 }, "skip", &plain, 2),
        node(Op::Add { x: 3, y: 4 }, "add", &plain, 2),
        node(activate(5), "relu2", &plain, 3),
        node(Op::MulConst { x: 6, factor: 0.5 }, "half", &plain, 2),
        node(activate(7), "relu3", &plain, 3),
        node(
            Op::Linear { x: 8, map: 3 },
            "fc",
            &layout(5, 1, SLOTS / 8, 0),
            2,
        ),
    ];
    // Half the slot value at twice the unit is the same network value.
    nodes[7].unit = 2.0;
    let maps = vec![
        map(conv(IMAGE, seed), 16, false),
        map(conv(HIDDEN, seed + 3), 16, false),
        map(identity, 16, false),
        map(dense, 4, true),
    ];
    let preprocess = Preprocess {
        mean: vec![0.0; IMAGE],
        std: vec![1.0; IMAGE],
        width: 4,
        height: 4,
        channels: IMAGE,
        classes: ["ant", "bee", "cat", "dog", "eel"].map(String::from).into(),
    };
    let program = Program { nodes, maps };
    let parameters = Parameters::fused(LOG_N, DEGREE);
    hecc_backend::emit(
        program,
        parameters,
        128,
        true,
        "tiny.onnx",
        preprocess,
        CostTable::reference(),
    )
    .unwrap()
}

/// A float32 array file.
pub fn npy(shape: &str, values: &[f32]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    header += &" ".repeat(63 - (10 + header.len()) % 64);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// A folder of files for the command.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// With the first plan and its image.
    pub fn new() -> Self {
        Self::with(&plan(1), &image())
    }

    /// With a plan and an image of its input's shape.
    pub fn with(plan: &Plan, image: &[f32]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("plan.bin", &plan.to_bytes());
        let shape = plan.program.nodes[0].layout.shape;
        let shape = format!("{}, {}, {}", shape.c, shape.h, shape.w);
        folder.write("image.npy", &npy(&shape, image));
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// `hecc-run` with arguments as a shell would split them, in this folder.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hecc-run"));
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path());
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs `hecc-run`, which must succeed; its standard output.
    pub fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "hecc-run {line}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Whether only the owner may read the file.
#[cfg(unix)]
pub fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o077 == 0
}
