#![doc = include_str!("../README.md")]

pub mod commands;
pub mod deviation;
pub mod folders;
pub mod npy;
pub mod session;
pub mod table;
