#![doc = include_str!("../README.md")]

mod secret;
mod sampling;
mod generate;
mod encryption;

pub use encryption::{decrypt, decrypt_complex, encrypt, encrypt_complex};
pub use generate::KeyGenerator;
pub use secret::{SecretKey, SecretSeed};
