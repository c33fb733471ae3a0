//! The container against damaged, foreign and lying files.

use std::io::Write;
use std::path::Path;

use hecc_runtime::error::Error;
use hecc_runtime::frame::{HEADER, Header, Id, Kind, Reader, VERSION, Writer};
use hecc_runtime::output_file::OutputFile;

const PLAN: Id = [1; 32];
const KEY: Id = [2; 32];
const SECTIONS: [u64; 2] = [16, 5];

fn whole() -> Vec<u8> {
    let header = Header {
        kind: Kind::Input,
        plan: PLAN,
        key: KEY,
    };
    let mut writer = Writer::new(vec![], &header, &SECTIONS).unwrap();
    writer.section(&[7; 16]).unwrap();
    writer.section(b"five!").unwrap();
    writer.finish().unwrap()
}

/// Reads `bytes` as an encrypted image of PLAN and KEY.
fn read(bytes: &[u8]) -> Result<[Vec<u8>; 2], Error> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let reader = Reader::open(file.path(), Kind::Input, &PLAN, Some(&KEY), SECTIONS.into())?;
    Ok([reader.section(0, "first")?, reader.section(1, "second")?])
}

/// A header with these fields and a digest that fits them.
fn forged(code: u32, version: u32, plan: Id, key: Id, body: u64) -> Vec<u8> {
    let mut bytes = whole();
    bytes[8..12].copy_from_slice(&code.to_le_bytes());
    bytes[12..16].copy_from_slice(&version.to_le_bytes());
    bytes[16..48].copy_from_slice(&plan);
    bytes[48..80].copy_from_slice(&key);
    bytes[80..88].copy_from_slice(&body.to_le_bytes());
    let digest = blake3::hash(&bytes[..88]);
    bytes[88..120].copy_from_slice(digest.as_bytes());
    bytes
}

#[test]
fn reads_what_was_written() {
    let [first, second] = read(&whole()).unwrap();
    assert_eq!((first, second), (vec![7; 16], b"five!".to_vec()));
}

#[test]
fn says_what_is_wrong_and_what_to_do() {
    let body = whole().len() as u64 - HEADER;
    let check = |bytes: &[u8], message: &str, help: &str| {
        let error = read(bytes).unwrap_err();
        assert!(
            error.to_string().contains(message),
            "{error}, not {message}"
        );
        assert!(error.help().contains(help), "{}, not {help}", error.help());
    };
    check(b"", "not a hecc file", "hecc-run encrypt");
    check(b"\x89PNG\r\n\x1a\n and more", "not a hecc file", "encrypt");
    check(&whole()[..100], "100 bytes", "copy the file again");
    check(
        &forged(2, VERSION, PLAN, KEY, body),
        "a server key, not an encrypted image",
        "encrypt",
    );
    check(
        &forged(9, VERSION, PLAN, KEY, body),
        "unknown kind 9",
        "encrypt",
    );
    check(
        &forged(3, VERSION + 1, PLAN, KEY, body),
        "format version 3",
        "anew",
    );
    check(
        &forged(3, VERSION, [9; 32], KEY, body),
        "plan 0909090909090909",
        "encrypt",
    );
    check(
        &forged(3, VERSION, PLAN, [9; 32], body),
        "key pair 0909090909090909",
        "keygen",
    );
    check(
        &forged(3, VERSION, PLAN, KEY, u64::MAX),
        "must have 205",
        "copy",
    );
    check(&forged(3, VERSION, PLAN, KEY, 0), "has 120 bytes", "copy");
    check(&[whole(), vec![0]].concat(), "has 206 bytes", "copy");
    let mut flipped = whole();
    flipped[HEADER as usize + 50] ^= 1;
    check(&flipped, "the checksum of second", "copy the file again");
}

/// Every truncation and every flipped bit is noticed.
#[test]
fn notices_all_damage() {
    let good = whole();
    for length in 0..good.len() {
        assert!(read(&good[..length]).is_err(), "cut to {length} bytes");
    }
    for bit in 0..8 * good.len() {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bytes).is_err(), "bit {bit} flipped");
    }
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let entries = || std::fs::read_dir(&folder).unwrap().count();
    let mut file = OutputFile::create(&path, false).unwrap();
    file.write_all(b"half").unwrap();
    drop(file);
    assert_eq!(entries(), 0);

    let mut file = OutputFile::create(&path, true).unwrap();
    file.write_all(b"whole").unwrap();
    assert!(!path.exists());
    file.commit().unwrap();
    assert_eq!(
        (std::fs::read(&path).unwrap(), entries()),
        (b"whole".to_vec(), 1)
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    for missing in [Path::new("/no/such/folder/out"), folder.path()] {
        let error = OutputFile::create(missing, false).err().unwrap();
        assert!(error.to_string().contains("cannot write"), "{error}");
    }
}
