//! The kernels.

fn main() {}
