//! The list of large objects in a directory archive (`_LoadLOs` in `pg_backup_directory.c`):
//! a line `OID FILE` for each, in a file that is not compressed.

use crate::toc::Version;
use crate::{Entry, Error};

/// Class of the entry that large objects' contents are restored by.
pub const LARGE_OBJECTS: &str = "BLOBS";

/// The only list before 1.16, whatever name its entry has.
const ONLY_LIST: &str = "blobs.toc";

/// One line of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeObject<'a> {
    /// OID of the large object.
    pub oid: u32,
    /// Its data file, without the compression's suffix.
    pub file_name: &'a str,
}

/// The list that belongs to `entry`, if it is one for large objects: one for all before 1.16,
/// since then one per entry.
pub fn large_object_list(version: Version, entry: &Entry) -> Option<&str> {
    if entry.desc != LARGE_OBJECTS {
        return None;
    }
    if version < Version::V1_16 { Some(ONLY_LIST) } else { entry.file_name.as_deref() }
}

/// The data file that `pg_dump` keeps large object `oid` in, without the compression's suffix.
pub fn large_object_file(oid: u32) -> String {
    format!("blob_{oid}.dat")
}

/// Appends a line to a list.
pub fn put_large_object(list: &mut Vec<u8>, oid: u32) {
    list.extend_from_slice(format!("{oid} {}\n", large_object_file(oid)).as_bytes());
}

/// Reads a list. The iterator ends with the first damaged line, as an
/// [`Error::LargeObjectLine`].
pub fn large_objects(list: &[u8]) -> impl Iterator<Item = Result<LargeObject<'_>, Error>> {
    let mut damaged = false;
    let lines = list.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.map_while(move |(at, line)| {
        if damaged {
            return None;
        }
        let object = parse(line).ok_or(Error::LargeObjectLine { line: at + 1 });
        damaged = object.is_err();
        Some(object)
    })
}

fn parse(line: &[u8]) -> Option<LargeObject<'_>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (oid, file_name) = line.split_once(' ')?;
    let digits = oid.bytes().all(|byte| byte.is_ascii_digit()) && !oid.starts_with('0');
    let printable = !file_name.is_empty() && file_name.bytes().all(|byte| byte.is_ascii_graphic());
    let oid = oid.parse().ok().filter(|_| digits && printable)?;
    Some(LargeObject { oid, file_name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Section;

    #[test]
    fn a_list_reads_what_was_put_in_it() {
        let mut list = Vec::new();
        for oid in [1, 424_242, u32::MAX] {
            put_large_object(&mut list, oid);
        }
        assert!(list.starts_with(b"1 blob_1.dat\n424242 blob_424242.dat\n"));
        let read: Result<Vec<_>, _> = large_objects(&list).collect();
        assert_eq!(
            read.unwrap(),
            [
                LargeObject { oid: 1, file_name: "blob_1.dat" },
                LargeObject { oid: 424_242, file_name: "blob_424242.dat" },
                LargeObject { oid: u32::MAX, file_name: "blob_4294967295.dat" },
            ]
        );
        assert_eq!(large_objects(b"").count(), 0);
    }

    #[test]
    fn a_damaged_line_is_named_and_ends_the_list() {
        for line in [
            "2",
            "2 ",
            " 2 x",
            "2  x",
            "+2 x",
            "02 x",
            "0 x",
            "4294967296 x",
            "-2 x",
            "2 x y",
            "2 x\r",
            "",
            "two x",
            "2\tx",
        ] {
            let list = format!("1 blob_1.dat\n{line}\n3 blob_3.dat\n");
            let read: Vec<_> = large_objects(list.as_bytes()).collect();
            assert_eq!(read.len(), 2, "{line:?}");
            assert!(matches!(read[1], Err(Error::LargeObjectLine { line: 2 })), "{line:?}");
        }
        assert!(large_objects(b"1 blob_1.dat").next().unwrap().is_err(), "no newline");
        assert!(large_objects(b"1 \xff\n").next().unwrap().is_err(), "no text");
    }

    #[test]
    fn the_list_has_one_name_before_1_16_and_its_entrys_since() {
        let entry = Entry {
            file_name: Some("blobs_7.toc".into()),
            ..Entry::new(7, LARGE_OBJECTS, "BLOBS", Section::Data)
        };
        assert_eq!(large_object_list(Version::V1_15, &entry), Some("blobs.toc"));
        assert_eq!(large_object_list(Version::V1_16, &entry), Some("blobs_7.toc"));
        let table = Entry::new(8, "TABLE DATA", "t", Section::Data);
        assert_eq!(large_object_list(Version::V1_16, &table), None);
    }
}
