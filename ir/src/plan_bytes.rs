//! A plan as bytes: `HECCPLAN`, version (u32, little-endian), BLAKE3 of the body, body
//! (protobuf, `wire.rs`).
//!
//! There is one byte string for one plan: what does not encode to itself is refused, so that the hash of
//! the bytes identifies the plan. Memory for decoding is bounded by the bytes at hand: structure is at
//! most [`MAX_STRUCTURE`] bytes, constants are read where they lie.

use prost::Message;

use crate::checker::{self, CheckError};
use crate::plan::Plan;
use crate::plan_decode::read;
use crate::plan_encode::{constants, structure};
use crate::wire;

/// Version of the format.
pub const VERSION: u32 = 2;
/// Most bytes of everything but constants: a message of two bytes takes some two hundred in memory.
pub const MAX_STRUCTURE: usize = 2 << 20;
const MAGIC: &[u8; 8] = b"HECCPLAN";
const HEADER: usize = 8 + 4 + 32;

/// Bytes that are no usable plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Another kind of file.
    #[error("not a hecc plan; give the file that `hecc compile` wrote")]
    Magic,
    /// Another version of the format.
    #[error(
        "a plan of format {found}, this program reads format {VERSION}; compile the model again"
    )]
    Version {
        /// What the file says.
        found: u32,
    },
    /// The content is not what was written.
    #[error("the plan is damaged or cut short; copy it again or compile the model again")]
    Damaged,
    /// The content hash is right but the content is not a plan's.
    #[error("the plan is malformed: {0}; compile the model again")]
    Malformed(String),
    /// The plan contradicts itself.
    #[error("the plan is refused: {0}; compile the model again")]
    Refused(#[from] CheckError),
}

impl Plan {
    /// The file's bytes; the same for equal plans.
    pub fn to_bytes(&self) -> Vec<u8> {
        let envelope = wire::Envelope {
            plan: structure(self).encode_to_vec(),
            constants: self
                .program
                .maps
                .iter()
                .flat_map(|map| &map.stages)
                .flat_map(constants)
                .flatten()
                .collect(),
        };
        let body = envelope.encode_to_vec();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(blake3::hash(&body).as_bytes());
        bytes.extend(body);
        bytes
    }

    /// BLAKE3 of [`Plan::to_bytes`]: what keys and ciphertexts are bound to.
    pub fn id(&self) -> [u8; 32] {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }

    /// [`Plan::id`] in hexadecimal, as statistics name a plan.
    pub fn identity(&self) -> String {
        blake3::Hash::from_bytes(self.id()).to_hex().to_string()
    }

    /// Reads and checks a plan.
    ///
    /// # Errors
    /// For anything but the bytes of a plan that passes its checker.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.len() < 8 || !bytes.starts_with(MAGIC) {
            return Err(PlanError::Magic);
        }
        let (Some(version), Some(hash)) = (bytes[8..].first_chunk::<4>(), bytes.get(12..HEADER))
        else {
            return Err(PlanError::Damaged);
        };
        let found = u32::from_le_bytes(*version);
        if found != VERSION {
            return Err(PlanError::Version { found });
        }
        let body = &bytes[HEADER..];
        if blake3::hash(body).as_bytes() != hash {
            return Err(PlanError::Damaged);
        }
        let malformed = PlanError::Malformed;
        let envelope = wire::Envelope::decode(body).map_err(|e| malformed(e.to_string()))?;
        if envelope.plan.len() > MAX_STRUCTURE {
            let found = envelope.plan.len();
            return Err(malformed(format!(
                "{found} bytes of structure, at most {MAX_STRUCTURE}"
            )));
        }
        let plan =
            wire::Plan::decode(envelope.plan.as_slice()).map_err(|e| malformed(e.to_string()))?;
        let plan = read(plan, &envelope.constants).map_err(malformed)?;
        if plan.to_bytes() != bytes {
            return Err(malformed(
                "it is not in the form this program writes".to_string(),
            ));
        }
        checker::check(&plan)?;
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, levelled_plan, linear_samples, residual_plan};

    /// The file for a body, with a hash that fits.
    fn sealed(body: &[u8]) -> Vec<u8> {
        [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            blake3::hash(body).as_bytes(),
            body,
        ]
        .concat()
    }

    #[test]
    fn a_plan_survives_its_bytes() {
        let mut every_stage = levelled_plan();
        let samples = linear_samples(&mut Random::new(7));
        every_stage.program.maps[3].stages = samples.into_iter().map(|(stage, _)| stage).collect();
        for plan in [residual_plan(), levelled_plan(), every_stage.clone()] {
            let bytes = plan.to_bytes();
            assert_eq!(plan.id(), *blake3::hash(&bytes).as_bytes());
            assert_eq!(plan.identity(), blake3::hash(&bytes).to_hex().as_str());
            match Plan::from_bytes(&bytes) {
                Ok(read) => assert_eq!(read, plan),
                // Stages that do not chain are read and then refused.
                Err(error) => {
                    assert!(matches!(error, PlanError::Refused(_)), "{error}");
                    assert_eq!(plan, every_stage);
                }
            }
        }
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = residual_plan().to_bytes();
        let refused = |bytes: &[u8], expect: &str| {
            let message = Plan::from_bytes(bytes).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        for length in (0..200).chain((200..bytes.len()).step_by(97)) {
            refused(
                &bytes[..length],
                if length < 8 {
                    "not a hecc plan"
                } else {
                    "damaged"
                },
            );
        }
        let mut random = Random::new(6);
        for _ in 0..200 {
            let mut bytes = bytes.clone();
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            assert!(Plan::from_bytes(&bytes).is_err());
        }
        let mut other = bytes.clone();
        other[8] = 9;
        refused(&other, "a plan of format 9");
        refused(&[bytes.as_slice(), &[0]].concat(), "damaged");
    }

    #[test]
    fn malformed_bodies_under_a_right_hash_are_errors() {
        for plan in [residual_plan(), levelled_plan()] {
            malform(&plan.to_bytes()[HEADER..]);
        }
    }

    fn malform(body: &[u8]) {
        let mut random = Random::new(8);
        for round in 0..500 {
            let mut body = body.to_vec();
            // Structure comes first: the last three quarters of the body are weights.
            let at = random.below(body.len() / if round % 4 == 0 { 1 } else { 6 });
            match round % 3 {
                0 => body[at] ^= 1 << random.below(8),
                1 => body[at] = 0xff,
                _ => body.truncate(at),
            }
            // A flipped bit of a weight or a name makes another plan; everything else is refused.
            if let Ok(plan) = Plan::from_bytes(&sealed(&body)) {
                assert_eq!(plan.to_bytes(), sealed(&body));
            }
        }
    }

    #[test]
    fn claims_are_bounded() {
        let refused = |edit: fn(&mut wire::Plan), expect: &str| {
            let plan = residual_plan();
            let envelope = wire::Envelope::decode(&plan.to_bytes()[HEADER..]).unwrap();
            let mut structure = structure(&plan);
            edit(&mut structure);
            let body = wire::Envelope {
                plan: structure.encode_to_vec(),
                ..envelope
            }
            .encode_to_vec();
            let message = Plan::from_bytes(&sealed(&body)).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}, expected {expect}");
        };
        refused(
            |p| p.maps[0].stages[0].constants[0] = 1 << 32,
            "constants claimed",
        );
        refused(
            |p| p.maps[0].stages[0].constants[0] = u64::MAX,
            "an integer of",
        );
        refused(
            |p| p.maps[0].stages[0].integers[0] = 1 << 32,
            "output channels of 4294967296",
        );
        refused(
            |p| p.maps[0].stages[0].integers.clear(),
            "0 integers, expected 12",
        );
        refused(|p| p.maps[0].stages[0].op = 99, "linear operator 99");
        refused(|p| p.maps.truncate(7), "nothing uses");
        refused(|p| p.maps[0].gain = f64::NAN, "NaN");
        refused(|p| p.nodes[0].layout[0] = 1 << 32, "slots");
        refused(|p| p.nodes[0].layout[2] = 1 << 31, "a size of 0 or over");
        refused(|p| p.nodes[1].operands[0] = 1 << 31, "before it exists");
        refused(|p| p.nodes[2].numbers.clear(), "operator 4");
        refused(|p| p.nodes[2].numbers[3] = f64::INFINITY, "inf");
        refused(|p| p.parameters = None, "no parameters");
        refused(|p| p.prediction = None, "no prediction");
        refused(|p| p.nodes[0].layout[1] = 1 << 32, "parts");
        refused(
            |p| {
                let function = Some(wire::Function {
                    op: 19,
                    numbers: vec![1.0],
                    lengths: vec![u64::MAX],
                });
                p.nodes[2].target = Some(Box::new(wire::Target { x: 1, function }));
            },
            "a list of 18446744073709551615",
        );
        refused(
            |p| p.parameters.as_mut().unwrap().log_n = u32::MAX,
            "2^4294967295",
        );
        refused(
            |p| p.keys.as_mut().unwrap().levels.clear(),
            "rotations at 0 levels",
        );
        refused(
            |p| p.nodes = vec![wire::Node::default(); 1 << 21],
            "of structure, at most",
        );
    }
}
