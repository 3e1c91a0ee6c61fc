//! Three repairs of text that Azure exports are known to write instead of JSON.
//!
//! Line breaks inside strings are dropped, single quotes around strings become double ones, and an empty member is
//! removed. Nothing else is repaired, no text that mentions CloudTrail's members is touched, and the result counts
//! only if all of it is JSON. A repaired element is flagged, so that nobody takes it for what the producer wrote.

use memchr::memmem;
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// An empty name with an empty value, as some exports put between two members.
const EMPTY_MEMBER: &str = r#""":"","#;

/// `text` repaired, or `None` if it may not be repaired or would not be JSON afterwards.
pub(super) fn repaired(text: &str) -> Option<String> {
    let mentions = |name: &str| memmem::find(text.as_bytes(), name.as_bytes()).is_some();
    let from_azure = mentions("operationName") || mentions("records");
    if !from_azure || mentions("eventSource") {
        return None;
    }
    let candidate = rewritten(text).replace(EMPTY_MEMBER, "");
    let all_json = Deserializer::from_str(&candidate)
        .into_iter::<&RawValue>()
        .all(|value| value.is_ok());
    all_json.then_some(candidate)
}

fn rewritten(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        match quote {
            None if matches!(c, '"' | '\'') => {
                quote = Some(c);
                out.push('"');
            }
            None => out.push(c),
            Some(_) if escaped => {
                escaped = false;
                if c == '\'' {
                    // JSON has no escape for a single quote.
                    out.pop();
                }
                out.push(c);
            }
            Some(open) if c == open => {
                quote = None;
                out.push('"');
            }
            Some(_) => match c {
                '\\' => {
                    escaped = true;
                    out.push(c);
                }
                '"' => out.push_str("\\\""),
                '\r' | '\n' => (),
                _ => out.push(c),
            },
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(repaired(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn the_three_repairs_and_nothing_else() {
        check(
            "{'operationName':'it\\'s \"x\"'}",
            Some(r#"{"operationName":"it's \"x\""}"#),
        );
        check(
            "{\"operationName\":\"a\r\nb\"}",
            Some(r#"{"operationName":"ab"}"#),
        );
        check(r#"{"operationName":"a",,"":"","b":1}"#, None);
        check(
            r#"{"operationName":"a","":"","b":'it'}"#,
            Some(r#"{"operationName":"a","b":"it"}"#),
        );
        check("{'eventSource':'x','operationName':'y'}", None);
        check("{'name':'y'}", None);
        check("{'records':['y'", None);
    }
}
