//! Excel: for whoever sorts, filters and fills in. What somebody wrote into a log is a text there and never a formula.

use rust_xlsxwriter::{
    DataValidation, DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError,
};

use super::{Document, NOTHING, Part, difference, facts, heading};
use crate::model::ReviewDecision;

/// Longer texts do not fit into a cell (Excel specifications and limits, "Total number of characters that a cell can contain").
const TEXT_MAX: usize = 32_000;

/// Width of a column at most, and of the arrow beside a heading, in characters.
const WIDTH_MAX: usize = 60;
const FILTER_WIDTH: usize = 3;

/// The bytes of the workbook. They depend on nothing but the report and the library.
pub(super) fn render(document: &Document) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let created = ExcelDateTime::from_ymd(2000, 1, 1)?;
    let properties = DocProperties::new()
        .set_title(&document.provenance.title)
        .set_creation_datetime(&created);
    workbook.set_properties(&properties);
    for (place, part) in document.parts.iter().enumerate() {
        let sheet = workbook.add_worksheet();
        sheet.set_name(name(document, place))?;
        rows(part, sheet)?;
    }
    origin(document, workbook.add_worksheet())?;
    workbook.save_to_buffer()
}

/// The name of a part's sheet, which has place for 31 characters: the first words of the title.
fn name(document: &Document, place: usize) -> &str {
    if place == 0 {
        return &document.provenance.report;
    }
    let title = &document.parts[place].title;
    title.split(',').next().unwrap_or(title)
}

fn rows(part: &Part, sheet: &mut Worksheet) -> Result<(), XlsxError> {
    let head = Format::new().set_bold();
    let last_row = u32::try_from(part.rows.len()).map_err(|_| XlsxError::RowColumnLimitError)?;
    for (at, column) in (0_u16..).zip(&part.columns) {
        let cells = || part.rows.iter().filter_map(|row| row.get(usize::from(at)));
        let heading = heading(column);
        let own = heading.chars().count() + FILTER_WIDTH;
        let longest = cells().map(|cell| cell.chars().count()).max().unwrap_or(0);
        sheet.write_string_with_format(0, at, heading, &head)?;
        sheet.set_column_width(at, longest.max(own).min(WIDTH_MAX) as f64)?;
        for (row, cell) in (1_u32..).zip(cells()) {
            match number(cell) {
                Some(number) => sheet.write_number(row, at, number)?,
                None => sheet.write_string(row, at, short(cell))?,
            };
        }
        // To be filled in, as the access review's; what was decided already stays as it is.
        if column == "decision" && last_row > 0 && cells().all(String::is_empty) {
            let words: Vec<&str> = ReviewDecision::ALL.iter().map(|one| one.name()).collect();
            let allowed = DataValidation::new().allow_list_strings(&words)?;
            sheet.add_data_validation(1, at, last_row, at, &allowed)?;
        }
    }
    let columns = part.columns.len();
    if let Some(last) = columns.checked_sub(1) {
        let last = u16::try_from(last).map_err(|_| XlsxError::RowColumnLimitError)?;
        sheet.autofilter(0, 0, last_row, last)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    // On paper all columns stand beside each other, under their headings.
    sheet.set_landscape().set_print_fit_to_pages(1, 0);
    sheet.set_repeat_rows(0, 0)?;
    if part.rows.is_empty() {
        sheet.write_string(1, 0, NOTHING)?;
    }
    Ok(())
}

/// What stands around the rows in the other forms.
fn origin(document: &Document, sheet: &mut Worksheet) -> Result<(), XlsxError> {
    sheet.set_name("where it comes from")?;
    let from = &document.provenance;
    let mut lines = vec![(from.title.clone(), String::new())];
    let tally = document.tally.iter();
    lines.extend(tally.map(|(standing, count)| (standing.clone(), count.to_string())));
    lines.extend(
        difference(document)
            .into_iter()
            .map(|line| ("changed".to_owned(), line)),
    );
    let caveats = document.caveats().into_iter();
    lines.extend(caveats.map(|caveat| ("it does not show".to_owned(), caveat.to_owned())));
    lines.extend(facts(document));
    let questions = document.parts.iter();
    lines.extend(questions.map(|part| {
        let name = format!("SQL of “{}”", part.title);
        (name, part.sql.trim_end().to_owned())
    }));
    let (bold, wrapped) = (Format::new().set_bold(), Format::new().set_text_wrap());
    for (row, (name, value)) in (0_u32..).zip(&lines) {
        sheet.write_string_with_format(row, 0, short(name), &bold)?;
        sheet.write_string_with_format(row, 1, short(value), &wrapped)?;
    }
    sheet.set_column_width(0, 24)?;
    sheet.set_column_width(1, 120)?;
    Ok(())
}

/// A number that a cell holds exactly. Ids of accounts look like numbers and are none: they begin with zeros, or are too long.
fn number(cell: &str) -> Option<f64> {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let short = (1..=9).contains(&digits.len()) && (digits == "0" || !digits.starts_with('0'));
    (plain && short).then(|| cell.parse().ok())?
}

fn short(cell: &str) -> String {
    match cell.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{} … (cut)", &cell[..end]),
        None => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_texts() {
        assert_eq!(number("12"), Some(12.0));
        assert_eq!(number("-3"), Some(-3.0));
        assert_eq!(number("0"), Some(0.0));
        for text in ["", "-", "007", "111122223333", "1.5", "=1+1", "2026-11-27"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
