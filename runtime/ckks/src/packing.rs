//! Limbs as bytes: residues of a b-bit prime take b bits, little-endian, without gaps.

use crate::Error;
use crate::ring::Modulus;

/// Bytes of one packed limb of `n` residues (n a multiple of 8).
pub fn packed_len(n: usize, m: &Modulus) -> usize {
    n / 8 * m.bits() as usize
}

/// Appends the packed limb to `out`.
pub fn pack(m: &Modulus, limb: &[u64], out: &mut Vec<u8>) {
    let bits = m.bits();
    let (mut pending, mut filled) = (0u128, 0);
    for &x in limb {
        pending |= u128::from(x) << filled;
        filled += bits;
        while filled >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
}

/// Reads a limb of `limb.len()` residues from exactly [`packed_len`] bytes.
///
/// # Errors
/// When the length is wrong or a residue is not below the prime.
pub fn unpack(m: &Modulus, bytes: &[u8], limb: &mut [u64]) -> Result<(), Error> {
    if bytes.len() != packed_len(limb.len(), m) {
        return Err(Error::Malformed(format!(
            "a limb of {} bytes, expected {}",
            bytes.len(),
            packed_len(limb.len(), m)
        )));
    }
    let (bits, q) = (m.bits() as usize, m.value());
    let mask = (1u64 << bits) - 1;
    let mut largest = 0;
    for (i, x) in limb.iter_mut().enumerate() {
        let at = i * bits;
        let mut word = [0; 8];
        let start = at / 8;
        let end = bytes.len().min(start + 8);
        word[..end - start].copy_from_slice(&bytes[start..end]);
        // bits <= 50 and at % 8 <= 7, so the residue lies within these 64 bits.
        *x = (u64::from_le_bytes(word) >> (at % 8)) & mask;
        largest = largest.max(*x);
    }
    if largest >= q {
        return Err(Error::Malformed(format!(
            "residue {largest} is not below its prime {q}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_inverts() {
        for q in [97, (1 << 34) - 41, (1 << 50) - 27] {
            let m = Modulus::new(q).unwrap();
            let limb: Vec<u64> = (0..64u64)
                .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % q)
                .collect();
            let mut bytes = Vec::new();
            pack(&m, &limb, &mut bytes);
            assert_eq!(bytes.len(), packed_len(64, &m));
            let mut back = vec![0; 64];
            unpack(&m, &bytes, &mut back).unwrap();
            assert_eq!(back, limb);
            assert!(unpack(&m, &bytes[1..], &mut back).is_err());
            assert!(unpack(&m, &vec![0xff; bytes.len()], &mut back).is_err());
        }
    }
}
