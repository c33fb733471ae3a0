//! The transform.

fn main() {}
