//! HTML: one file without a script and without anything that is loaded, for browsers and printers.

use super::{Document, NOTHING, Part, difference, facts, heading};

const STYLE: &str = ":root{color-scheme:light dark;--line:#8884;--bar:#4a78b5;--soft:#8881}\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem}\
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}h3{font-size:.95rem;margin:1.5rem 0 .3rem}.lead{margin:.3rem 0 1.5rem;opacity:.8}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem}\
th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top;white-space:nowrap}\
th{position:sticky;top:0;background:Canvas}tbody tr:nth-child(even){background:var(--soft)}\
td.n{text-align:right;font-variant-numeric:tabular-nums}td.long{white-space:normal;min-width:18rem}\
svg text{font-size:13px;fill:currentColor}svg rect{fill:var(--bar)}pre{background:var(--soft);padding:1rem;overflow-x:auto}\
@media print{body{margin:0;max-width:none}th{position:static}}";

/// The widest bar, its height with the space below it, and the room for its name, in pixels.
const BAR: u64 = 420;
const STEP: u64 = 24;
const NAME: u64 = 190;

pub(super) fn render(document: &Document) -> String {
    let from = &document.provenance;
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{0}</h1>\n<p class=\"lead\">{1}</p>\n",
        safe(&from.title),
        safe(&document.subject().question)
    );
    text += &contents(document);
    text += &chart(&document.tally);
    let changes = difference(document);
    if !changes.is_empty() {
        text += "<h2>What changed</h2>\n<ul>\n";
        for line in changes {
            text += &format!("<li>{}</li>\n", safe(&line));
        }
        text += "</ul>\n";
    }
    for (place, part) in document.parts.iter().enumerate() {
        text += &format!("<h2 id=\"part-{place}\">{}</h2>\n", safe(&part.title));
        if place > 0 {
            text += &format!("<p class=\"lead\">{}</p>\n", safe(&part.question));
        }
        text += &rows(part);
    }
    text += "<h2>What it does not show</h2>\n<ul>\n";
    for caveat in document.caveats() {
        text += &format!("<li>{}</li>\n", safe(caveat));
    }
    text += "</ul>\n<h2>Where it comes from</h2>\n<div class=\"wide\"><table>\n";
    for (name, value) in facts(document) {
        text += &format!(
            "<tr><th scope=\"row\">{}</th><td class=\"long\">{}</td></tr>\n",
            safe(&name),
            safe(&value)
        );
    }
    text += "</table></div>\n";
    for part in &document.parts {
        text += &format!(
            "<h3>{}</h3>\n<pre>{}</pre>\n",
            safe(&part.title),
            safe(part.sql.trim_end())
        );
    }
    text + "</body>\n</html>\n"
}

/// Where each part is, if there are several.
fn contents(document: &Document) -> String {
    if document.parts.len() == 1 {
        return String::new();
    }
    let mut text = "<nav><ul>\n".to_owned();
    for (place, part) in document.parts.iter().enumerate() {
        text += &format!(
            "<li><a href=\"#part-{place}\">{}</a>: {}</li>\n",
            safe(&part.title),
            part.rows.len()
        );
    }
    text + "</ul></nav>\n"
}

/// A bar for each standing.
fn chart(tally: &[(String, u64)]) -> String {
    let most = tally.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let height = STEP * tally.len() as u64;
    let width = NAME + BAR + 80;
    let mut svg = format!(
        "<svg role=\"img\" aria-label=\"how many rows have which standing\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n"
    );
    for (place, (standing, count)) in (0..).zip(tally) {
        let top = STEP * place;
        let long = (count * BAR).div_ceil(most).max(1);
        svg += &format!(
            "<text x=\"0\" y=\"{0}\">{1}</text><rect x=\"{NAME}\" y=\"{2}\" width=\"{long}\" height=\"16\" rx=\"2\"/>\
             <text x=\"{3}\" y=\"{0}\">{count}</text>\n",
            top + 15,
            safe(standing),
            top + 2,
            NAME + long + 8,
        );
    }
    svg + "</svg>\n"
}

fn rows(part: &Part) -> String {
    if part.rows.is_empty() {
        return format!("<p>{NOTHING}</p>\n");
    }
    let mut text = "<div class=\"wide\"><table>\n<thead><tr>".to_owned();
    for column in &part.columns {
        text += &format!("<th scope=\"col\">{}</th>", safe(&heading(column)));
    }
    text += "</tr></thead>\n<tbody>\n";
    for row in &part.rows {
        text += "<tr>";
        for cell in row {
            let class = match cell {
                // Ids of accounts have twelve digits and are no numbers.
                cell if cell.len() < 12 && cell.parse::<f64>().is_ok() => " class=\"n\"",
                cell if cell.len() > 60 => " class=\"long\"",
                _ => "",
            };
            text += &format!("<td{class}>{}</td>", safe(cell));
        }
        text += "</tr>\n";
    }
    text + "</tbody>\n</table></div>\n"
}

/// Text that stays text.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() && c != '\n' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
