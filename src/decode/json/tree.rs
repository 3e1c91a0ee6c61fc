//! An object read once with everything inside it, for objects whose members are looked up at several depths.
//!
//! [`Members`](super::Members) reads one level and leaves the values as text, so a value three levels down is walked
//! over four times. Every CloudTrail record tells by such values who called.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{Seen, Text, TextVisitor};

/// An object's members and theirs, in the order of the text. Arrays are left out: no member of theirs is looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree<'a> {
    /// The object itself and what is inside it.
    nodes: Vec<Node<'a>>,
}

#[derive(Clone, Debug)]
struct Node<'a> {
    name: Cow<'a, str>,
    value: Value<'a>,
}

#[derive(Clone, Debug)]
enum Value<'a> {
    Scalar(Text<'a>),
    Object {
        /// How many of the nodes behind this one are inside it.
        inside: usize,
        duplicate: Option<Box<str>>,
    },
}

/// One object of a [`Tree`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Branch<'t, 'a> {
    nodes: &'t [Node<'a>],
    /// The first member that occurs twice, letter case apart.
    pub(crate) duplicate: Option<&'t str>,
}

impl<'a> Tree<'a> {
    /// The object; without members if something else was read.
    pub(crate) fn root(&self) -> Branch<'_, 'a> {
        match self.nodes.split_first() {
            Some((root, inside)) => Branch::of(&root.value, inside),
            None => Branch::default(),
        }
    }
}

impl<'t, 'a> Branch<'t, 'a> {
    /// The object that `value` is, `behind` being the nodes behind it.
    fn of(value: &'t Value<'a>, behind: &'t [Node<'a>]) -> Self {
        match value {
            Value::Object { inside, duplicate } => Branch {
                nodes: &behind[..*inside],
                duplicate: duplicate.as_deref(),
            },
            Value::Scalar(_) => Branch::default(),
        }
    }

    /// Whether there is nothing in it, or no such object.
    pub(crate) const fn is_empty(self) -> bool {
        self.nodes.is_empty()
    }

    /// The scalar called `name` as text; absent, empty, `null` and placeholders are `None`. ASCII letter case does not
    /// matter, because exports change it.
    pub(crate) fn text(self, name: &str) -> Option<Cow<'a, str>> {
        match self.find(name)? {
            (Value::Scalar(text), _) => text.clone().known(),
            (Value::Object { .. }, _) => None,
        }
    }

    /// The first of `names` that has a text.
    pub(crate) fn first_text(self, names: &[&str]) -> Option<Cow<'a, str>> {
        names.iter().find_map(|name| self.text(name))
    }

    /// The object called `name`; one without members if there is none.
    pub(crate) fn object(self, name: &str) -> Self {
        match self.find(name) {
            Some((value, behind)) => Branch::of(value, behind),
            None => Branch::default(),
        }
    }

    /// This object, or `other` if this one has no members.
    pub(crate) const fn or(self, other: Self) -> Self {
        if self.is_empty() { other } else { self }
    }

    /// The value called `name`, and the nodes behind it.
    fn find(self, name: &str) -> Option<(&'t Value<'a>, &'t [Node<'a>])> {
        members(self.nodes)
            .find(|(node, _)| node.name.eq_ignore_ascii_case(name))
            .map(|(node, behind)| (&node.value, behind))
    }
}

/// The nodes at the level of the first of `nodes`, each with what stands behind it.
fn members<'t, 'a>(
    mut nodes: &'t [Node<'a>],
) -> impl Iterator<Item = (&'t Node<'a>, &'t [Node<'a>])> {
    std::iter::from_fn(move || {
        let (node, behind) = nodes.split_first()?;
        nodes = match &node.value {
            Value::Object { inside, .. } => behind.get(*inside..).unwrap_or_default(),
            Value::Scalar(_) => behind,
        };
        Some((node, behind))
    })
}

impl<'de: 'a, 'a> Deserialize<'de> for Tree<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut nodes = Vec::new();
        let name = Cow::Borrowed("");
        Grow {
            nodes: &mut nodes,
            name,
        }
        .deserialize(deserializer)?;
        Ok(Self { nodes })
    }
}

/// Reads one value as the member `name`.
struct Grow<'t, 'a> {
    nodes: &'t mut Vec<Node<'a>>,
    name: Cow<'a, str>,
}

impl<'a> Grow<'_, 'a> {
    fn scalar<E>(self, text: Result<Text<'a>, E>) -> Result<(), E> {
        self.nodes.push(Node {
            name: self.name,
            value: Value::Scalar(text?),
        });
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Grow<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Grow<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.scalar(TextVisitor.visit_borrowed_str(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(TextVisitor.visit_str(text))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(TextVisitor.visit_bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(TextVisitor.visit_i64(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(TextVisitor.visit_u64(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(TextVisitor.visit_f64(value))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(TextVisitor.visit_unit())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.scalar(Ok(Text(None)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let at = self.nodes.len();
        self.nodes.push(Node {
            name: self.name,
            value: Value::Scalar(Text(None)),
        });
        let mut duplicate = None;
        let mut seen = Seen::default();
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            let name = name.unwrap_or_default();
            let known = members(&self.nodes[at + 1..]).map(|(node, _)| &*node.name);
            if seen.again(&name, known) && duplicate.is_none() {
                duplicate = Some(Box::from(&*name));
            }
            map.next_value_seed(Grow {
                nodes: &mut *self.nodes,
                name,
            })?;
        }
        self.nodes[at].value = Value::Object {
            inside: self.nodes.len() - at - 1,
            duplicate,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn members_are_found_at_their_own_depth_only() {
        let tree = tree(
            r#"{"a":{"x":{"deep":1},"list":[{"deep":2}],"Y":true},"x":"outer","z":{},"n":null,"e":"a\"b"}"#,
        );
        let root = tree.root();
        assert_eq!(root.text("X").as_deref(), Some("outer"));
        assert_eq!(root.text("deep"), None);
        assert_eq!(root.text("e").as_deref(), Some("a\"b"));
        assert_eq!(root.text("n"), None);
        let a = root.object("a");
        assert_eq!(a.object("x").text("deep").as_deref(), Some("1"));
        assert_eq!(a.text("y").as_deref(), Some("true"));
        assert_eq!(a.text("z"), None);
        assert!(a.object("list").is_empty() && root.object("z").is_empty());
        assert!(root.object("missing").is_empty());
    }

    #[test]
    fn a_member_that_occurs_twice_is_named_by_its_own_object() {
        let tree = tree(r#"{"a":{"oid":{"oid":1},"OID":2},"b":{"oid":3}}"#);
        assert_eq!(tree.root().duplicate, None);
        assert_eq!(tree.root().object("a").duplicate, Some("OID"));
        assert_eq!(tree.root().object("b").duplicate, None);
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["null", "1", "\"x\"", "[{\"a\":1}]"] {
            assert!(tree(text).root().is_empty(), "{text}");
        }
    }
}
