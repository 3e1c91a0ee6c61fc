//! The questions of `queries/`: one file each, with a header that says what it asks, what it takes and what it gives.
//!
//! ```sql
//! -- question: Which machine identities were not used for a while?
//! -- param days = 90: days without success
//! -- controls: CC6.2, 7.2.5.1
//! -- caveat: an identity younger than the window is not judged
//! SELECT …
//! ```

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};

use super::QueryError;

static QUERIES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/queries");

/// One value that a question takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: String,
    /// Used when none is given; a question without one must be given the value.
    pub default: Option<String>,
    pub meaning: String,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub asks: String,
    pub params: Vec<Param>,
    pub controls: Vec<String>,
    pub caveats: Vec<String>,
    pub sql: String,
}

/// Every question, by name.
pub fn questions() -> Result<Vec<Question>, QueryError> {
    let mut questions = Vec::new();
    for file in QUERIES.files() {
        let path = file.path();
        if path.extension().is_none_or(|ending| ending != "sql") {
            continue;
        }
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let text = file.contents_utf8().unwrap_or_default();
        questions.push(parse(&name, text)?);
    }
    questions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(questions)
}

fn parse(name: &str, text: &str) -> Result<Question, QueryError> {
    let mut question = Question {
        name: name.to_owned(),
        asks: String::new(),
        params: Vec::new(),
        controls: Vec::new(),
        caveats: Vec::new(),
        sql: String::new(),
    };
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("-- ") else {
            question.sql.push_str(line);
            question.sql.push('\n');
            continue;
        };
        match comment.split_once(':') {
            Some(("question", text)) => text.trim().clone_into(&mut question.asks),
            Some(("controls", list)) => {
                let controls = list.split(',').map(|id| id.trim().to_owned());
                question.controls.extend(controls);
            }
            Some(("caveat", text)) => question.caveats.push(text.trim().to_owned()),
            Some((head, meaning)) if head.starts_with("param ") => {
                question
                    .params
                    .push(param(&head["param ".len()..], meaning));
            }
            _ => {
                return Err(QueryError::Question(format!(
                    "queries/{name}.sql: the header line {line:?} is none of question, param, controls, caveat"
                )));
            }
        }
    }
    if question.asks.is_empty() {
        return Err(QueryError::Question(format!(
            "queries/{name}.sql does not say what it asks"
        )));
    }
    Ok(question)
}

fn param(head: &str, meaning: &str) -> Param {
    let (name, default) = match head.split_once('=') {
        Some((name, default)) => (name, Some(default.trim().to_owned())),
        None => (head, None),
    };
    Param {
        name: name.trim().to_owned(),
        default,
        meaning: meaning.trim().to_owned(),
    }
}

/// The question called `name`.
///
/// # Errors
///
/// That there is none, and which one may be meant.
pub fn question(name: &str) -> Result<Question, QueryError> {
    let mut questions = questions()?;
    let place = questions.iter().position(|question| question.name == name);
    let place = place.ok_or_else(|| unknown(name, &questions))?;
    Ok(questions.swap_remove(place))
}

fn unknown(name: &str, questions: &[Question]) -> QueryError {
    let nearest = questions
        .iter()
        .map(|question| (strsim::jaro_winkler(name, &question.name), &question.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, name)| format!("; did you mean {name}?"));
    QueryError::Question(format!(
        "there is no question {name:?}{nearest} `keytrail query` lists them"
    ))
}

/// The question's SQL with its parameters put in as literals: numbers as numbers, everything else as quoted text.
///
/// A literal cannot end a literal, so a value cannot become anything but a value.
pub fn bind(question: &Question, given: &BTreeMap<String, String>) -> Result<String, QueryError> {
    if let Some(unknown) = given
        .keys()
        .find(|name| !question.params.iter().any(|param| param.name == **name))
    {
        let known: Vec<&str> = question.params.iter().map(|p| p.name.as_str()).collect();
        return Err(QueryError::Question(format!(
            "{} takes no {unknown:?}; it takes {}",
            question.name,
            if known.is_empty() {
                "nothing".to_owned()
            } else {
                known.join(", ")
            }
        )));
    }
    let mut values = BTreeMap::new();
    for param in &question.params {
        let value = given
            .get(&param.name)
            .or(param.default.as_ref())
            .ok_or_else(|| {
                QueryError::Question(format!(
                    "{} needs -p {}=VALUE: {}",
                    question.name, param.name, param.meaning
                ))
            })?;
        values.insert(param.name.as_str(), literal(value));
    }
    Ok(put_in(&question.sql, &values))
}

/// The SQL with each `:name` replaced, in one pass, so that a value which looks like a parameter stays a value.
fn put_in(sql: &str, values: &BTreeMap<&str, String>) -> String {
    let mut bound = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find(':') {
        let (before, after) = rest.split_at(at);
        bound.push_str(before);
        let length = after[1..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(after.len() - 1);
        let name = &after[1..=length];
        match values.get(name) {
            Some(value) => bound.push_str(value),
            None => bound.push_str(&after[..=length]),
        }
        rest = &after[length + 1..];
    }
    bound.push_str(rest);
    bound
}

/// A whole number as a number, everything else as quoted text; `007` is a name, not seven.
fn literal(value: &str) -> String {
    match value.parse::<i64>() {
        Ok(number) if number.to_string() == value => number.to_string(),
        _ => format!("'{}'", value.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_a_sound_header() {
        let questions = questions().unwrap();
        assert!(questions.len() >= 10, "{}", questions.len());
        for question in questions {
            assert!(question.sql.contains("ORDER BY"), "{}", question.name);
            for param in question.params {
                let used = question.sql.contains(&format!(":{}", param.name));
                assert!(used, "{} does not use {}", question.name, param.name);
            }
        }
    }

    #[test]
    fn a_value_stays_a_value() {
        let question = parse(
            "q",
            "-- question: x?\n-- param who: somebody\nSELECT :who ORDER BY 1\n",
        )
        .unwrap();
        let given = BTreeMap::from([("who".to_owned(), "x' OR '1'='1".to_owned())]);
        let sql = bind(&question, &given).unwrap();
        assert_eq!(sql.trim(), "SELECT 'x'' OR ''1''=''1' ORDER BY 1");
        assert!(bind(&question, &BTreeMap::new()).is_err());
    }

    #[test]
    fn a_value_that_looks_like_a_parameter_stays_a_value() {
        let question = parse(
            "q",
            "-- question: x?\n-- param a: one\n-- param b: two\nSELECT :a, :b ORDER BY 1\n",
        )
        .unwrap();
        let given = BTreeMap::from([
            ("a".to_owned(), "x:b".to_owned()),
            ("b".to_owned(), "', 1 --".to_owned()),
        ]);
        let sql = bind(&question, &given).unwrap();
        assert_eq!(sql.trim(), "SELECT 'x:b', ''', 1 --' ORDER BY 1");
    }
}
