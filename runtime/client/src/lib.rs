#![doc = include_str!("../README.md")]

mod encryption;
mod generate;
mod sampling;
mod secret;

pub use encryption::{decrypt, decrypt_complex, encrypt, encrypt_complex};
pub use generate::KeyGenerator;
pub use secret::{SecretKey, SecretSeed};
