//! One entry as SQL (`_printTocEntry` in `pg_backup_archiver.c`).

use super::session::{Session, push_connect};
use super::{ScriptOptions, large_objects, push_line};
use crate::quote::{push_ident, quote_ident};
use crate::{Entry, Toc, owner_statement};

/// Whether a script has this entry at all (`_tocEntryRequired`).
pub(super) fn is_wanted(entry: &Entry, options: ScriptOptions) -> bool {
    match entry.desc.as_str() {
        // Part of the preamble.
        "ENCODING" | "STDSTRINGS" | "SEARCHPATH" => false,
        "DATABASE" | "DATABASE PROPERTIES" => options.create_database,
        "ACL" | "ACL LANGUAGE" | "DEFAULT ACL" if !options.privileges => false,
        "ACL" | "COMMENT" | "SECURITY LABEL"
            if entry.tag.starts_with("DATABASE ") && !options.create_database =>
        {
            false
        }
        _ => entry.had_dumper || !entry.defn.is_empty(),
    }
}

/// Prints entries, and remembers what the script has set so far.
pub(super) struct Printer<'a> {
    toc: &'a Toc,
    options: ScriptOptions,
    session: Session<'a>,
    schema: Option<&'a str>,
    tablespace: Option<&'a str>,
    table_am: Option<&'a str>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(toc: &'a Toc, options: ScriptOptions, session: Session<'a>) -> Self {
        Self { toc, options, session, schema: None, tablespace: None, table_am: None }
    }

    /// Everything of `entry` but its data.
    pub(super) fn print(&mut self, entry: &'a Entry) -> String {
        let mut sql = String::with_capacity(entry.defn.len() + 256);
        self.select_schema(&mut sql, entry.namespace.as_deref());
        self.select_tablespace(&mut sql, entry.tablespace.as_deref());
        let partitioned = entry.relkind == Some('p');
        if !partitioned {
            self.select_table_am(&mut sql, entry.table_am.as_deref());
        }
        self.push_comment(&mut sql, entry);
        self.push_definition(&mut sql, entry);
        if self.options.owners
            && let Some(statement) = owner_statement(entry)
        {
            sql.push_str(&statement);
            sql.push_str("\n\n");
        }
        if partitioned && let Some(am) = &entry.table_am {
            // It has no storage to which the default could apply.
            sql.push_str("ALTER TABLE ");
            if let Some(schema) = &entry.namespace {
                push_ident(&mut sql, schema);
                sql.push('.');
            }
            push_ident(&mut sql, &entry.tag);
            sql.push_str(&format!(" SET ACCESS METHOD {};\n\n", quote_ident(am)));
        }
        match entry.desc.as_str() {
            "DATABASE" | "DATABASE PROPERTIES" => self.connect(&mut sql, &entry.tag),
            "BLOBS" => self.select_schema(&mut sql, Some("pg_catalog")),
            _ => {}
        }
        sql
    }

    fn select_schema(&mut self, sql: &mut String, schema: Option<&'a str>) {
        let schema = schema.filter(|schema| !schema.is_empty());
        if !self.session.follows_schemas() || schema.is_none() || schema == self.schema {
            return;
        }
        self.schema = schema;
        let schema = schema.unwrap_or_default();
        sql.push_str(&format!("SET search_path = {}", quote_ident(schema)));
        sql.push_str(if schema == "pg_catalog" { ";\n\n" } else { ", pg_catalog;\n\n" });
    }

    fn select_tablespace(&mut self, sql: &mut String, tablespace: Option<&'a str>) {
        if tablespace.is_none() || tablespace == self.tablespace {
            return;
        }
        self.tablespace = tablespace;
        let name = match tablespace.unwrap_or_default() {
            "" => "''".to_owned(),
            name => quote_ident(name),
        };
        sql.push_str(&format!("SET default_tablespace = {name};\n\n"));
    }

    fn select_table_am(&mut self, sql: &mut String, table_am: Option<&'a str>) {
        let Some(am) = table_am else { return };
        if table_am != self.table_am {
            self.table_am = table_am;
            sql.push_str(&format!("SET default_table_access_method = {};\n\n", quote_ident(am)));
        }
    }

    fn push_comment(&self, sql: &mut String, entry: &Entry) {
        let what = match entry.desc.as_str() {
            _ if entry.had_dumper => "Data for Name",
            "STATISTICS DATA" => "Statistics for Name",
            _ => "Name",
        };
        let owner = entry.owner.as_deref().filter(|_| self.options.owners);
        sql.push_str(&format!("--\n-- {what}: "));
        push_line(sql, &entry.tag);
        sql.push_str("; Type: ");
        push_line(sql, &entry.desc);
        sql.push_str("; Schema: ");
        push_line(sql, entry.namespace.as_deref().unwrap_or("-"));
        sql.push_str("; Owner: ");
        push_line(sql, owner.unwrap_or("-"));
        if let Some(tablespace) = entry.tablespace.as_deref().filter(|name| !name.is_empty()) {
            sql.push_str("; Tablespace: ");
            push_line(sql, tablespace);
        }
        sql.push_str("\n--\n\n");
    }

    fn push_definition(&self, sql: &mut String, entry: &Entry) {
        match entry.desc.as_str() {
            // Old versions of pg_dump name the owner in it.
            "SCHEMA" if !self.options.owners && !entry.defn.starts_with("--") => {
                sql.push_str(&format!("CREATE SCHEMA {};\n\n\n", quote_ident(&entry.tag)));
            }
            "BLOB METADATA" => {
                large_objects::push_each(sql, entry, "SELECT pg_catalog.lo_create('", "')");
            }
            "ACL" if entry.tag.starts_with("LARGE OBJECTS") => {
                large_objects::push_grants(sql, self.toc, entry);
            }
            _ if entry.defn.is_empty() => {}
            _ => {
                sql.push_str(&entry.defn);
                sql.push_str("\n\n");
            }
        }
    }

    fn connect(&mut self, sql: &mut String, database: &str) {
        push_connect(sql, database);
        self.session.push_settings(sql);
        self.schema = None;
        self.tablespace = None;
        self.table_am = None;
    }
}
