//! Markdown: for tickets and mail.

use super::{Document, NOTHING, Part, difference, facts, heading};

pub(super) fn render(document: &Document) -> String {
    let title = &document.provenance.title;
    let mut text = format!(
        "# {}\n\n{}\n\n",
        safe(title),
        safe(&document.subject().question)
    );
    for (standing, count) in &document.tally {
        text += &format!("* {count} {}\n", safe(standing));
    }
    let changes = difference(document);
    if !changes.is_empty() {
        text += "\n## What changed\n\n";
        for line in changes {
            text += &format!("* {}\n", safe(&line));
        }
    }
    for part in &document.parts {
        text += &rows(part);
    }
    text += "\n## What it does not show\n\n";
    for caveat in document.caveats() {
        text += &format!("* {}\n", safe(caveat));
    }
    text += "\n## Where it comes from\n\n| | |\n| --- | --- |\n";
    for (name, value) in facts(document) {
        text += &line(&[name, value]);
    }
    for part in &document.parts {
        let (title, sql) = (safe(&part.title), part.sql.trim_end());
        let fence = fence(sql);
        text += &format!("\n{title}\n\n{fence}sql\n{sql}\n{fence}\n");
    }
    text + "\n"
}

fn rows(part: &Part) -> String {
    let mut text = format!("\n## {}\n\n", safe(&part.title));
    if part.rows.is_empty() {
        return text + NOTHING + "\n";
    }
    let names: Vec<String> = part.columns.iter().map(|name| heading(name)).collect();
    text += &line(&names);
    text += &line(&vec!["---".to_owned(); names.len()]);
    for row in &part.rows {
        text += &line(row);
    }
    text
}

/// More backticks than stand beside each other in `code`: a name in a statement cannot end the block.
fn fence(code: &str) -> String {
    let runs = code.split(|c| c != '`').map(str::len);
    "`".repeat(3.max(runs.max().unwrap_or(0) + 1))
}

fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| safe(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Text that stays text in a cell: what somebody wrote into a log may not become a link, a mention, an image or a row.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            '|' | '[' | ']' | '`' | '!' | '\\' | '#' | '*' | '_' | '~' => {
                safe.push('\\');
                safe.push(c);
            }
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '@' => safe.push_str("&#64;"),
            c => safe.push(c),
        }
    }
    // Bare addresses become links by themselves.
    safe.replace("://", "&#58;//").replace("www.", "www&#46;")
}

#[cfg(test)]
mod tests {
    use super::{fence, safe};

    #[test]
    fn no_name_ends_a_block_of_code() {
        assert_eq!(fence("SELECT 1"), "```");
        assert_eq!(fence("SELECT 'x\n```\n'"), "````");
    }

    #[test]
    fn text_of_logs_stays_text() {
        for (text, expected) in [
            ("https://evil.example/x", "https&#58;//evil.example/x"),
            ("www.evil.example", "www&#46;evil.example"),
            ("@security-team", "&#64;security-team"),
            ("__init__ | *x*", "\\_\\_init\\_\\_ \\| \\*x\\*"),
            ("<img src=x>\n# h", "&lt;img src=x&gt; \\# h"),
        ] {
            assert_eq!(safe(text), expected);
        }
    }
}
