#![doc = include_str!("../README.md")]

pub mod agree;
pub mod commands;
pub mod deviation;
pub mod encrypted;
pub mod folders;
pub mod model;
pub mod npy;
pub mod onnx;
pub mod session;
pub mod table;
