//! What a detection consists of, whatever its form.

use std::collections::BTreeMap;

use rsigma_parser::{Detection, DetectionItem, Modifier};

/// Named detections by name: the maps of the parser have no order.
pub(super) fn in_order<'d>(
    named: impl IntoIterator<Item = (&'d String, &'d Detection)>,
) -> BTreeMap<&'d String, &'d Detection> {
    named.into_iter().collect()
}

/// Hands every item below `detection` to `each`.
pub(super) fn items<'d>(detection: &'d Detection, each: &mut impl FnMut(&'d DetectionItem)) {
    match detection {
        Detection::AllOf(own) => own.iter().for_each(each),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                items(part, each);
            }
        }
        Detection::ArrayMatch { body, .. } => items(body, each),
        Detection::Conditional { named, .. } => {
            for (_, part) in in_order(named) {
                items(part, each);
            }
        }
        Detection::Keywords(_) => (),
    }
}

/// Paths of the record below `detection`, those with which others are compared too; members of an array's members are the
/// array's.
pub(super) fn fields(detection: &Detection, paths: &mut Vec<String>) {
    match detection {
        Detection::ArrayMatch { field, .. } => paths.push(field.clone()),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                fields(part, paths);
            }
        }
        Detection::AllOf(_) | Detection::Conditional { .. } => items(detection, &mut |item| {
            paths.extend(item.field.name.clone());
            if item.field.has_modifier(Modifier::FieldRef) {
                paths.extend(item.values.iter().map(ToString::to_string));
            }
        }),
        Detection::Keywords(_) => (),
    }
}
