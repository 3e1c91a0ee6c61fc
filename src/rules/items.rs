//! What a detection consists of, whatever its form.

use std::collections::BTreeMap;

use rsigma_parser::{Detection, DetectionItem};

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
            // The map of the parser has no order.
            let named: BTreeMap<&String, &Detection> = named.iter().collect();
            for part in named.values() {
                items(part, each);
            }
        }
        Detection::Keywords(_) => (),
    }
}

/// Paths of the record below `detection`; members of an array's members are the array's.
pub(super) fn fields<'d>(detection: &'d Detection, paths: &mut Vec<&'d str>) {
    match detection {
        Detection::ArrayMatch { field, .. } => paths.push(field),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                fields(part, paths);
            }
        }
        Detection::AllOf(_) | Detection::Conditional { .. } => items(detection, &mut |item| {
            paths.extend(item.field.name.as_deref());
        }),
        Detection::Keywords(_) => (),
    }
}
