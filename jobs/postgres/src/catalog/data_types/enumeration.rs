//! Enum types.

use std::collections::HashMap;

use super::{Details, Subjects};
use crate::Error;
use crate::catalog::Catalog;
use crate::quote;

pub(super) async fn read(
    cx: &mut Catalog<'_>,
    subjects: &Subjects,
) -> Result<HashMap<u32, Details>, Error> {
    let rows = cx
        .rows(
            "reading enum types",
            "SELECT t.oid, \
                    array(SELECT e.enumlabel FROM pg_enum e WHERE e.enumtypid = t.oid \
                          ORDER BY e.enumsortorder) AS labels \
             FROM pg_type t WHERE t.typtype = 'e'",
        )
        .await?;
    let mut details = HashMap::new();
    for row in rows {
        let oid = row.oid("oid")?;
        let Some(subject) = subjects.get(&oid) else { continue };
        let labels: Vec<String> = row
            .texts("labels")?
            .iter()
            .map(|label| format!("\n    {}", quote::quote_literal(label)))
            .collect();
        let defn =
            format!("CREATE TYPE {} AS ENUM ({}\n);\n", subject.qualified(), labels.join(","));
        details.insert(oid, Details { defn: defn.into(), ..Details::default() });
    }
    Ok(details)
}
