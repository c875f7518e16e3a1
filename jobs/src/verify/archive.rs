//! A directory archive: its table of contents against its files, and what each must hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use pgarchive::{Compression, CopyFormat, SourceFile, TOC_FILE, Toc};
use vault::Store;
use vault::manifest::{Database, Object};

use super::object::Check;
use crate::{Damage, Error, source};

/// The largest table of contents that is read: millions of entries.
pub(crate) const MAX_TOC: u64 = 512 << 20;

/// Reads the table of contents, holds it against the objects, and says what each object must
/// be. Gives what is wrong so far.
pub(super) async fn plan(
    store: &Arc<dyn Store>,
    database: &Database,
    checks: &mut BTreeMap<String, Check>,
) -> Result<Vec<Damage>, Error> {
    let place = |file: &str| format!("{}{file}", database.location);
    for table in &database.tables {
        let format = if table.data == "binary" { CopyFormat::Binary } else { CopyFormat::Text };
        for chunk in &table.chunks {
            let (_, compression) = Compression::of_file(&chunk.file);
            if let Some(check) = checks.get_mut(&place(&chunk.file)) {
                check.rows(compression, format, chunk.rows, chunk.digest.clone());
            }
        }
    }
    let of_large_object = |name: &str| name.starts_with("blob_");
    let mut files = Vec::new();
    let own = checks.iter_mut().filter(|(key, _)| key.starts_with(&database.location));
    for (key, check) in own {
        let name = key.strip_prefix(&database.location).unwrap_or_default();
        let (_, compression) = Compression::of_file(name);
        if of_large_object(name) {
            check.frames(compression);
        }
        files.push(SourceFile { name: name.to_owned(), size: check.object().size });
    }
    let Some(object) = checks.get(&place(TOC_FILE)).map(Check::object).cloned() else {
        return Ok(Vec::new());
    };
    let toc = match read_toc(store.as_ref(), &object).await {
        Ok(toc) => toc,
        Err(TocError::Damaged(damage)) => return Ok(vec![damage]),
        Err(TocError::Failed(error)) => return Err(error),
    };
    let mut check = pgarchive::check::Check::new(&toc, &files);
    for list in check.large_object_lists() {
        let Some(object) = checks.get(&place(&list)).map(Check::object) else { continue };
        match read_whole(store.as_ref(), object).await {
            Ok(content) => check.large_objects(&list, &content),
            // What it lists is unknown: more could only be guessed.
            Err(TocError::Damaged(damage)) => return Ok(vec![damage]),
            Err(TocError::Failed(error)) => return Err(error),
        }
    }
    let problem = |problem: pgarchive::check::Problem| {
        Damage::new(&object.key, format!("does not fit its archive: {problem}"))
    };
    Ok(check.finish().into_iter().map(problem).collect())
}

/// Why a table of contents cannot be had.
pub(crate) enum TocError {
    /// It is not what it should be.
    Damaged(Damage),
    /// The store does not answer.
    Failed(Error),
}

/// Reads and checks a table of contents.
pub(crate) async fn read_toc(store: &dyn Store, object: &Object) -> Result<Toc, TocError> {
    let bytes = read_whole(store, object).await?;
    Toc::decode(&bytes).map_err(|error| {
        let what = format!("cannot be read ({})", crate::chain(&error));
        TocError::Damaged(Damage::new(&object.key, what))
    })
}

/// Reads a table of contents, or a list of large objects, as bytes.
async fn read_whole(store: &dyn Store, object: &Object) -> Result<Vec<u8>, TocError> {
    if object.size > MAX_TOC {
        let what = format!("is too large for a table of contents: {} bytes", object.size);
        return Err(TocError::Damaged(Damage::new(&object.key, what)));
    }
    let failed = |error: pgarchive::StreamError| match error.downcast::<Damage>() {
        Ok(damage) => TocError::Damaged(*damage),
        Err(error) => TocError::Failed(source::error(object, error)),
    };
    let mut content = source::open(store, object).await.map_err(failed)?;
    let mut bytes = Vec::with_capacity(usize::try_from(object.size).unwrap_or(0));
    while let Some(piece) = content.try_next().await.map_err(failed)? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
