//! Reading JSON without copying it: lenient scalars and the members of an object, both borrowed.
//!
//! Logs drift: booleans arrive as strings, account numbers as numbers, missing values as `""` or `null`. [`Text`]
//! takes all of them; [`Members`] gives an object's members without deciding their types. Neither ever fails on a
//! value's type, only on JSON that is not JSON and on a member that occurs twice.

mod tree;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use tree::{Branch, Tree};

/// Texts that stand where a value was withheld: they are treated as absent, never as a value (attribution A.9).
const PLACEHOLDERS: [&str; 6] = [
    "HIDDEN_DUE_TO_SECURITY_REASONS",
    "***OMITTED***",
    "<sensitiveDataRemoved>",
    "Value hidden due to security reasons.",
    "<null>",
    "null",
];

/// Up to so many members are compared with each other; more are looked up in a set, because a hostile object can have
/// a million.
const FEW: usize = 32;

/// Which member names of one object were there, letter case apart.
#[derive(Default)]
struct Seen {
    count: usize,
    many: BTreeSet<String>,
}

impl Seen {
    /// Whether `name` is among `known`, which are the names that this was asked about before.
    fn again<'n>(&mut self, name: &str, known: impl Iterator<Item = &'n str>) -> bool {
        self.count += 1;
        if self.count <= FEW {
            let mut known = known;
            return known.any(|known| known.eq_ignore_ascii_case(name));
        }
        if self.many.is_empty() {
            self.many.extend(known.map(str::to_ascii_lowercase));
        }
        !self.many.insert(name.to_ascii_lowercase())
    }
}

/// A scalar read as text: strings borrowed, numbers and booleans as written, everything else absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// The text, unless it is empty or a placeholder.
    pub(crate) fn known(self) -> Option<Cow<'a, str>> {
        self.0
            .filter(|text| !text.is_empty() && !PLACEHOLDERS.contains(&text.as_ref()))
    }

    /// A truth value in any spelling seen in real logs.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.0.as_deref() {
            Some(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
            Some(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(if value {
            "true"
        } else {
            "false"
        }))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

/// The members of one JSON object, in order, values unparsed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members<'a> {
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// The first member that occurs twice, letter case apart.
    pub(crate) duplicate: Option<String>,
}

impl<'a> Members<'a> {
    /// Reads the members of the object in `text`. Fails on anything that is not one JSON object.
    pub(crate) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The member called `name`; ASCII letter case does not matter, because exports change it.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.entries
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Whether a member called `name` is there and is not `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.get() != "null")
    }

    /// The scalar called `name` as text; absent, empty, `null` and placeholders are `None`.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(scalar)
    }

    /// The first of `names` that has a text.
    pub(crate) fn first_text(&self, names: &[&str]) -> Option<Cow<'a, str>> {
        names.iter().find_map(|name| self.text(name))
    }

    /// The text of the object or array called `name`, also where an export wrote it as a string. Else `None`.
    pub(crate) fn json(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.get(name)?;
        let text = match value.get().as_bytes().first() {
            Some(b'"') => scalar(value)?,
            _ => Cow::Borrowed(value.get()),
        };
        text.trim_start().starts_with(['{', '[']).then_some(text)
    }

    /// The object called `name`. Anything else is `None`.
    pub(crate) fn object(&self, name: &str) -> Option<Members<'a>> {
        self.get(name).and_then(object)
    }

    /// The elements of the array called `name`; empty for anything else.
    pub(crate) fn array(&self, name: &str) -> Vec<&'a RawValue> {
        self.get(name).map(array).unwrap_or_default()
    }

    /// Every member, in the order of the text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_ref(), *value))
    }

    /// The member names, sorted and joined: records of one shape have one fingerprint.
    pub(crate) fn fingerprint(&self) -> String {
        let mut names: Vec<&str> = self.entries.iter().map(|(key, _)| key.as_ref()).collect();
        names.sort_unstable();
        names.truncate(24);
        names.join(",")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                let mut seen = Seen::default();
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    let key = key.unwrap_or_default();
                    let value: &'de RawValue = map.next_value()?;
                    let known = members.entries.iter().map(|(name, _)| &**name);
                    let twice = seen.again(&key, known);
                    if twice && members.duplicate.is_none() {
                        members.duplicate = Some(key.to_string());
                    }
                    members.entries.push((key, value));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A scalar as text; absent, empty, `null`, placeholders, objects and arrays are `None`.
pub(crate) fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get())
        .ok()
        .and_then(Text::known)
}

/// The members of `value` if it is an object.
pub(crate) fn object(value: &RawValue) -> Option<Members<'_>> {
    value
        .get()
        .starts_with('{')
        .then(|| Members::parse(value.get()).ok())
        .flatten()
}

/// The elements of `value` if it is an array.
pub(crate) fn array(value: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(value.get()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_of_every_type_become_text() {
        let members = Members::parse(
            r#"{"a":"x","b":12345678901234567890,"c":true,"d":null,"e":"","f":{"g":[1]},"h":"a\"b","i":"<null>"}"#,
        )
        .unwrap();
        assert_eq!(members.text("A").as_deref(), Some("x"));
        assert_eq!(members.text("b").as_deref(), Some("12345678901234567890"));
        assert_eq!(members.text("c").as_deref(), Some("true"));
        for absent in ["d", "e", "f", "i", "z"] {
            assert_eq!(members.text(absent), None, "{absent}");
        }
        assert_eq!(members.text("h").as_deref(), Some("a\"b"));
        assert!(members.has("f") && !members.has("d"));
    }

    #[test]
    fn a_member_that_occurs_twice_is_named() {
        let members = Members::parse(r#"{"oid":"1","tid":"2","OID":"3"}"#).unwrap();
        assert_eq!(members.duplicate.as_deref(), Some("OID"));
    }
}
