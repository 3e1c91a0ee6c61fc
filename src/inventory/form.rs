//! Rows of a file, whatever they are about.

use std::path::Path;

use super::InventoryError;

/// Names and texts of one row.
type Cells = Vec<(String, String)>;
type Named = [(String, String)];

/// A row and where it stands.
pub(super) struct Row<T> {
    pub(super) place: String,
    pub(super) told: T,
}

/// What the rows of a file say.
pub(super) struct Form<T> {
    /// That a column may be there.
    pub(super) known: fn(&str) -> Result<(), String>,
    /// Columns that must be there.
    pub(super) needed: &'static [&'static str],
    /// What one row says.
    pub(super) row: fn(&Named) -> Result<T, String>,
}

impl<T> Form<T> {
    /// The rows of the files at `paths`, and every fault in them.
    pub(super) fn read(
        &self,
        paths: &[impl AsRef<Path>],
    ) -> Result<(Vec<Row<T>>, Vec<String>), InventoryError> {
        let mut rows = Vec::new();
        let mut faults = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let shown = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|source| InventoryError::Io {
                path: shown.clone(),
                source,
            })?;
            match String::from_utf8(bytes) {
                Ok(text) => self.read_text(&shown, &text, &mut rows, &mut faults),
                Err(_) => faults.push(format!("{shown}: not UTF-8 text")),
            }
        }
        Ok((rows, faults))
    }

    pub(super) fn read_text(
        &self,
        path: &str,
        text: &str,
        rows: &mut Vec<Row<T>>,
        faults: &mut Vec<String>,
    ) {
        let text = text.trim_start_matches('\u{feff}');
        let begin = text.trim_start().as_bytes().first();
        let mut take = |line: u64, cells: Cells| {
            let place = format!("{path}:{line}");
            match (self.row)(&cells) {
                Ok(told) => rows.push(Row { place, told }),
                Err(reason) => faults.push(format!("{place}: {reason}")),
            }
        };
        let read = match begin {
            Some(b'[' | b'{') => self.json(text, &mut take),
            _ => self.table(text, &mut take),
        };
        if let Err((line, reason)) = read {
            faults.push(format!("{path}:{line}: {reason}"));
        }
    }

    /// Hands every row of a CSV file to `take`, with its line.
    fn table(&self, text: &str, take: &mut impl FnMut(u64, Cells)) -> Result<(), (u64, String)> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let line = |error: &csv::Error| error.position().map_or(1, csv::Position::line);
        let header = reader
            .headers()
            .map_err(|error| (line(&error), error.to_string()))?;
        let header: Vec<String> = header.iter().map(column).collect();
        for column in &header {
            (self.known)(column).map_err(|reason| (1, reason))?;
        }
        for needed in self.needed {
            if !header.iter().any(|column| column == needed) {
                return Err((1, format!("there is no column `{needed}`")));
            }
        }
        for row in reader.records() {
            let row = row.map_err(|error| (line(&error), error.to_string()))?;
            let at = row.position().map_or(1, csv::Position::line);
            let cells = header.iter().zip(&row);
            let cells = cells.map(|(name, cell)| (name.clone(), cell.to_owned()));
            take(at, cells.collect());
        }
        Ok(())
    }

    /// The same for JSON: a list of objects, or objects one after the other.
    fn json(&self, text: &str, take: &mut impl FnMut(u64, Cells)) -> Result<(), (u64, String)> {
        let listed = text.trim_start().starts_with('[');
        let wrong = |error: serde_json::Error| (error.line() as u64, error.to_string());
        let mut objects = Vec::new();
        if listed {
            objects = serde_json::from_str::<Vec<serde_json::Value>>(text).map_err(wrong)?;
        } else {
            for object in serde_json::Deserializer::from_str(text).into_iter() {
                objects.push(object.map_err(wrong)?);
            }
        }
        for (number, object) in (1..).zip(objects) {
            let serde_json::Value::Object(members) = object else {
                return Err((number, "not an object".to_owned()));
            };
            let mut cells = Vec::new();
            for (name, value) in members {
                (self.known)(&name).map_err(|reason| (number, reason))?;
                match value {
                    serde_json::Value::Null => (),
                    serde_json::Value::String(text) => cells.push((name, text)),
                    serde_json::Value::Number(number) => cells.push((name, number.to_string())),
                    _ => return Err((number, format!("`{name}` is neither a text nor a number"))),
                }
            }
            take(number, cells);
        }
        Ok(())
    }
}

/// The column that a heading names: a workbook's `identity uid` is `identity_uid`.
fn column(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "_")
}

/// The text in the column `name`, if it says anything.
pub(super) fn cell<'a>(cells: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = cells.iter().find(|(column, _)| column == name);
    found
        .map(|(_, text)| text.trim())
        .filter(|text| !text.is_empty())
}

/// That `name` is one of `columns`.
pub(super) fn one_of(name: &str, columns: &[(&str, &str)]) -> Result<(), String> {
    let names = || columns.iter().map(|(known, _)| *known);
    if names().any(|known| known == name) {
        return Ok(());
    }
    let near = names().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let near = near.filter(|known| strsim::damerau_levenshtein(known, name) <= 3);
    Err(match near {
        Some(near) => format!("unknown column `{name}`; did you mean `{near}`?"),
        None => {
            let all: Vec<&str> = names().collect();
            format!("unknown column `{name}`; there are {}", all.join(", "))
        }
    })
}
