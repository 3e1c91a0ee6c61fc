//! Results as people and programs want them.

use std::io::Write;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::json::writer::{JsonArray, LineDelimited, WriterBuilder};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_schema;
use parquet::arrow::ArrowWriter;

use super::QueryError;

/// The form of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
    Parquet,
    Markdown,
}

/// Writes `batches` to `out`. Text that could steer a terminal or a spreadsheet is made harmless where it would.
pub fn write(
    out: &mut (dyn Write + Send),
    format: Format,
    schema: SchemaRef,
    batches: &[RecordBatch],
) -> Result<(), QueryError> {
    match format {
        Format::Table => {
            let table = pretty_format_batches_with_schema(schema, batches)?.to_string();
            writeln!(out, "{}", harmless(&table))?;
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            writeln!(out, "{rows} rows")?;
        }
        Format::Json => {
            let mut writer = WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, JsonArray>(&mut *out);
            writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
            writer.finish()?;
            writeln!(out)?;
        }
        Format::Ndjson => {
            let mut writer = WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, LineDelimited>(&mut *out);
            writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
            writer.finish()?;
        }
        Format::Csv => write_csv(out, &schema, batches)?,
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(&mut *out, schema, None)?;
            for batch in batches {
                writer.write(batch)?;
            }
            writer.close()?;
        }
        Format::Markdown => write_markdown(out, &schema, batches)?,
    }
    Ok(())
}

/// Arrow's writer knows no lists, so values are formatted first; formulas are defused for spreadsheets.
fn write_csv(
    out: &mut dyn Write,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<(), QueryError> {
    let mut rows = vec![
        schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect(),
    ];
    rows.extend(formatted(batches)?);
    let line = |row: &Vec<String>| {
        let fields: Vec<String> = row.iter().map(|value| csv_field(value)).collect();
        fields.join(",")
    };
    for row in &rows {
        writeln!(out, "{}", line(row))?;
    }
    Ok(())
}

/// A cell of a CSV file. One that begins like a formula would be run by a spreadsheet, so it is made text.
pub fn csv_field(value: &str) -> String {
    let formula = value.starts_with(['=', '+', '@', '\t', '\r'])
        || (value.starts_with('-') && value.parse::<f64>().is_err());
    let value = if formula {
        format!("'{value}")
    } else {
        value.to_owned()
    };
    if value.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value
    }
}

fn write_markdown(
    out: &mut dyn Write,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<(), QueryError> {
    let cell = |text: &str| harmless(text).replace('|', "\\|").replace('\n', " ");
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| cell(field.name()))
        .collect();
    writeln!(out, "| {} |", names.join(" | "))?;
    let rules: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Int32 | DataType::Int64 | DataType::UInt64 | DataType::Float64 => "---:",
            _ => "---",
        })
        .collect();
    writeln!(out, "| {} |", rules.join(" | "))?;
    for row in formatted(batches)? {
        let cells: Vec<String> = row.iter().map(|value| cell(value)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

/// Every value as text, row by row; empty where there is none.
pub fn formatted(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, QueryError> {
    let options = FormatOptions::default().with_display_error(true);
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows.push(
                columns
                    .iter()
                    .map(|column| column.value(row).to_string())
                    .collect(),
            );
        }
    }
    Ok(rows)
}

/// Without the characters that move a terminal's cursor or turn its text around; they come from attackers' names.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => c,
            c if c.is_control() => '\u{fffd}',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreadsheets_get_no_formulas() {
        assert_eq!(csv_field("=1+1"), "'=1+1");
        assert_eq!(csv_field("-5"), "-5");
        assert_eq!(csv_field("-rm"), "'-rm");
        assert_eq!(csv_field("a,\"b\""), "\"a,\"\"b\"\"\"");
    }

    #[test]
    fn terminals_get_no_escapes() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\u{202e}c\n"),
            "a\u{fffd}[2Jb\u{fffd}c\n"
        );
    }
}
