//! Members whose name says that they hold a secret, and what is done about each.
//!
//! The names are those that the AWS service models mark as sensitive and that were seen in clear in real records.
//! Names are compared without letter case, because exports change it. Tokens that page or make a request idempotent
//! (`nextToken`, `clientToken`) are no secrets and are not here.

/// What happens to the value of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The value is replaced, be it a string, a number, an object or an array.
    Whole,
    /// A map of settings: every string in it is replaced, the member names are kept, because they say what was set.
    /// Where a list stands instead, it is taken for [`Action::Pairs`].
    Leaves,
    /// A list of names and values: in it, each member called `value` is replaced.
    Pairs,
    /// The body of an Azure request or answer: in it, names that only resemble a secret's are enough ([`resembles`]).
    Body,
    /// [`Action::Whole`], but only in a record of `PutParameter`: elsewhere `value` is any value.
    ValueOfParameter,
    /// [`Action::Leaves`], but only in a record of `SendCommand`: elsewhere `parameters` are any parameters.
    Command,
}

/// Sorted by name, lower case.
const NAMES: [(&str, Action); 61] = [
    ("access_token", Action::Whole),
    ("accesstoken", Action::Whole),
    ("accountkey", Action::Whole),
    ("addprivatekey", Action::Whole),
    ("assertion", Action::Whole),
    ("authorizationtoken", Action::Whole),
    ("authtoken", Action::Whole),
    ("aws_secret_access_key", Action::Whole),
    ("aws_session_token", Action::Whole),
    ("base32stringseed", Action::Whole),
    ("certificateprivatekey", Action::Whole),
    ("client_assertion", Action::Whole),
    ("clientassertion", Action::Whole),
    ("code_verifier", Action::Whole),
    ("codeverifier", Action::Whole),
    ("connectionstring", Action::Whole),
    ("environment", Action::Pairs),
    ("environmentvariables", Action::Leaves),
    ("id_token", Action::Whole),
    ("idtoken", Action::Whole),
    ("logins", Action::Leaves),
    ("parameters", Action::Command),
    ("plaintext", Action::Whole),
    ("primaryconnectionstring", Action::Whole),
    ("private_key", Action::Whole),
    ("privatekey", Action::Whole),
    ("privatekeyplaintext", Action::Whole),
    ("qrcodepng", Action::Whole),
    ("rawsecretaccesskey", Action::Whole),
    ("refresh_token", Action::Whole),
    ("refreshtoken", Action::Whole),
    ("requestbody", Action::Body),
    ("responsebody", Action::Body),
    ("rotationtoken", Action::Whole),
    ("runtimeenvironmentvariables", Action::Leaves),
    ("samlassertion", Action::Whole),
    ("secondaryconnectionstring", Action::Whole),
    ("secret_access_key", Action::Whole),
    ("secret_hash", Action::Whole),
    ("secret_key", Action::Whole),
    ("secretaccesskey", Action::Whole),
    ("secretbinary", Action::Whole),
    ("secrethash", Action::Whole),
    ("secretkey", Action::Whole),
    ("secretstring", Action::Whole),
    ("session_token", Action::Whole),
    ("sessiontoken", Action::Whole),
    ("sharedaccesskey", Action::Whole),
    ("signintoken", Action::Whole),
    ("stagevariables", Action::Leaves),
    ("storageaccountkey", Action::Whole),
    ("streamurl", Action::Whole),
    ("subject_token", Action::Whole),
    ("subjecttoken", Action::Whole),
    ("tokenvalue", Action::Whole),
    ("tradeintoken", Action::Whole),
    ("userdata", Action::Whole),
    ("value", Action::ValueOfParameter),
    ("variables", Action::Leaves),
    ("webidentitytoken", Action::Whole),
    ("x-amz-security-token", Action::Whole),
];

/// Names that end like this hold one whatever stands before it: `masterUserPassword`, `clientSecret`.
const ENDINGS: [&str; 3] = ["passphrase", "password", "secret"];

/// No listed name is longer; a longer one is looked at only for its ending.
const NAME_BYTES_MAX: usize = 31;

/// For the low five bits of a first byte, the lengths that listed names beginning with it have, as a set of bits; and
/// for those of a last byte. Hardly a name that is not listed gets through both.
const FIRST_LENGTHS: [u32; 32] = lengths(false);
const LAST_LENGTHS: [u32; 32] = lengths(true);

const fn lengths(last: bool) -> [u32; 32] {
    let mut lengths = [0; 32];
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].0.as_bytes();
        let byte = name[if last { name.len() - 1 } else { 0 }];
        lengths[(byte & 31) as usize] |= 1 << name.len();
        at += 1;
    }
    lengths
}

/// What is to be done about the value of the member `name`; `None` for nearly all.
pub(super) fn action(name: &[u8]) -> Option<Action> {
    let (first, last) = (*name.first()?, *name.last()?);
    let lengths = FIRST_LENGTHS[usize::from(first & 31)] & LAST_LENGTHS[usize::from(last & 31)];
    if name.len() <= NAME_BYTES_MAX && lengths & (1 << name.len()) != 0 {
        let mut lower = [0; NAME_BYTES_MAX];
        let lower = &mut lower[..name.len()];
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let found = NAMES.binary_search_by(|(known, _)| known.as_bytes().cmp(&*lower));
        if let Ok(at) = found {
            return Some(NAMES[at].1);
        }
    }
    // Each ending ends in one of these, so almost every other name is done here.
    let may_end = matches!(last | 0x20, b'd' | b'e' | b't');
    let ends = may_end && ENDINGS.iter().any(|ending| ends_with(name, ending));
    ends.then_some(Action::Whole)
}

/// Whether a member of a request body or an answer looks as if it held a secret.
///
/// Azure's operations are too many to list, so anything that speaks of a secret, password, token, connection string,
/// shared signature or key counts, unless the rest of the name says that it only describes one.
pub(super) fn resembles(name: &[u8]) -> bool {
    const SPEAKS: [&str; 4] = ["secret", "password", "token", "connectionstring"];
    const DESCRIBES: [&str; 14] = [
        "count",
        "date",
        "description",
        "enabled",
        "expiry",
        "id",
        "identifier",
        "name",
        "source",
        "type",
        "uri",
        "url",
        "vault",
        "version",
    ];
    if DESCRIBES.iter().any(|ending| ends_with(name, ending)) {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    let shared_signature =
        lower == b"sas" || lower.starts_with(b"sastoken") || lower.ends_with(b"sas");
    let key = [&b"key"[..], b"keys", b"key1", b"key2", b"keydata"]
        .iter()
        .any(|ending| lower.ends_with(ending));
    shared_signature
        || key
        || SPEAKS
            .iter()
            .any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())
}

fn ends_with(name: &[u8], ending: &str) -> bool {
    name.len() >= ending.len()
        && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<Action>) {
        assert_eq!(action(name.as_bytes()), expected, "{name}");
    }

    #[test]
    fn the_list_is_sorted_lower_case_and_found_in_any_case() {
        assert!(NAMES.is_sorted_by(|one, next| one.0 < next.0));
        for (name, expected) in NAMES {
            assert!(name.len() <= NAME_BYTES_MAX, "{name}");
            assert_eq!(name, name.to_ascii_lowercase());
            check(name, Some(expected));
            check(&name.to_ascii_uppercase(), Some(expected));
        }
    }

    #[test]
    fn endings_count_and_lineage_does_not() {
        for name in [
            "Password",
            "masterUserPassword",
            "tdeCredentialPassword",
            "clientSecret",
            "secret",
        ] {
            check(name, Some(Action::Whole));
        }
        for name in [
            "accessKeyId",
            "sAMLAssertionID",
            "keyId",
            "KeyDescription",
            "uti",
            "passwordResetRequired",
            "secretId",
            "tokenIssuerType",
            "uniqueTokenIdentifier",
            "nextToken",
            "clientToken",
            "",
            "a_name_that_is_longer_than_any_in_the_list_by_far",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn a_body_is_read_with_suspicion() {
        for name in [
            "adminPassword",
            "key1",
            "primaryKey",
            "sasToken",
            "accountSas",
            "clientSecretText",
            "keyData",
        ] {
            assert!(resembles(name.as_bytes()), "{name}");
        }
        for name in [
            "keyName",
            "isAsync",
            "enableDisasterRecovery",
            "secretUri",
            "location",
            "keyVault",
        ] {
            assert!(!resembles(name.as_bytes()), "{name}");
        }
    }
}
