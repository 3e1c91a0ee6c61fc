//! What the Azure and Entra sources share: ids, categories, times, outcomes, addresses, and who the caller is.
//!
//! Columns and their meaning: Azure Monitor, "Azure activity log event schema", and the Log Analytics table reference.
//! Nothing here knows one source in particular, and nothing here says who an identity really is.

mod claims;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use super::json::{self, Members};
use super::{Element, time};
use crate::model::{Flags, Micros, Outcome, Reject, RejectCode, hex, sha256};

pub(super) use claims::{Claims, credential_kind, decide, microsoft_owned};

/// Longer `properties` are left out of `params_json`; the raw row keeps them. Policy rows run to several hundred KiB.
const PARAMS_BYTES_MAX: usize = 16 * 1024;

/// A token id as the sign-in's GUID.
pub(super) fn token(text: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    text.and_then(|text| token_guid(&text)).map(Cow::Owned)
}

/// The GUID behind a token id (AZ-20): base64url of the GUID's bytes in .NET order with or without padding, base64 of
/// the GUID's text, or the GUID itself.
pub(crate) fn token_guid(uti: &str) -> Option<String> {
    let text = uti.trim();
    if is_guid(text) {
        return Some(text.to_ascii_lowercase());
    }
    let text = text
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    if let Ok(mut bytes) = <[u8; 16]>::try_from(bytes.as_slice()) {
        // .NET writes the first three groups of a GUID as little-endian integers.
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        return Some(guid(Cow::Owned(hex(&bytes))).into_owned());
    }
    let text = String::from_utf8(bytes).ok()?;
    is_guid(&text).then(|| text.to_ascii_lowercase())
}

/// ID-1: a GUID in lower case with dashes (AZ-18's evidence has none); any other id in lower case.
pub(super) fn guid(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let text = text.to_ascii_lowercase();
        return Cow::Owned(format!(
            "{}-{}-{}-{}-{}",
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..]
        ));
    }
    lower(text)
}

/// Whether `text` is a GUID with dashes.
pub(super) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `text` in lower case, borrowed where it already is: ARM changes the case of resource ids between rows.
pub(super) fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        text
    }
}

/// A scalar, or the `value` of the pair `{value, localizedValue}` that the management API writes.
pub(super) fn value<'a>(members: &Members<'a>, name: &str) -> Option<Cow<'a, str>> {
    let raw = members.get(name)?;
    match json::object(raw) {
        Some(pair) => pair.text("value"),
        None => json::scalar(raw),
    }
}

/// The category of a record: a plain text, a pair, or Log Analytics' own column.
pub(super) fn category<'a>(members: &Members<'a>) -> Option<Cow<'a, str>> {
    value(members, "categoryValue").or_else(|| value(members, "category"))
}

/// Whether `text` is one of `names`, letter case apart.
pub(super) fn is(text: Option<&str>, names: &[&str]) -> bool {
    text.is_some_and(|text| names.iter().any(|name| text.eq_ignore_ascii_case(name)))
}

/// Whether the members, or those of `properties`, are a directory audit entry: the directory also writes categories
/// such as `Policy`, which the activity log has too.
pub(super) fn directory_entry(members: &Members<'_>) -> bool {
    fn entry(members: &Members<'_>) -> bool {
        members.has("activityDisplayName")
            && ["initiatedBy", "targetResources", "loggedByService"]
                .iter()
                .any(|name| members.has(name))
    }
    entry(members)
        || members
            .object("properties")
            .is_some_and(|properties| entry(&properties))
}

/// The part of `path` after the part called `key`: `/subscriptions/<this>/…`.
pub(super) fn part_after<'t>(path: &'t str, key: &str) -> Option<&'t str> {
    let mut parts = path.split('/');
    parts.find(|part| part.eq_ignore_ascii_case(key))?;
    parts.next().filter(|part| !part.is_empty())
}

/// The Entra tenant of a record. Log Analytics' own `TenantId` is the id of a workspace and is not used.
pub(super) fn tenant<'a>(members: &Members<'a>) -> Option<Cow<'a, str>> {
    let workspace = members.has("timeGenerated") && !members.has("time");
    let path = || {
        let id = members.text("resourceId")?;
        part_after(&id, "tenants").map(|tenant| Cow::Owned(tenant.to_owned()))
    };
    members
        .text("aadTenantId")
        .or_else(|| members.text("tenantId").filter(|_| !workspace))
        .or_else(path)
        .map(guid)
}

/// The members of `properties`, then those of the record: exports lift the former to the top.
#[derive(Debug)]
pub(super) struct Layers<'r, 'a> {
    pub(super) inner: Members<'a>,
    outer: &'r Members<'a>,
}

impl<'r, 'a> Layers<'r, 'a> {
    /// Refuses an inner object that holds a member twice and a record that holds one of `actor` twice.
    pub(super) fn read(outer: &'r Members<'a>, actor: &[&str]) -> Result<Self, Reject> {
        once(outer, actor)?;
        let inner = outer.object("properties").unwrap_or_default();
        no_duplicate("properties", &inner)?;
        Ok(Self { inner, outer })
    }

    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.inner.text(name).or_else(|| self.outer.text(name))
    }

    pub(super) fn first_text(&self, names: &[&str]) -> Option<Cow<'a, str>> {
        names.iter().find_map(|name| self.text(name))
    }

    /// Text of an object or array.
    pub(super) fn json(&self, name: &str) -> Option<Cow<'a, str>> {
        self.inner.json(name).or_else(|| self.outer.json(name))
    }

    pub(super) fn object(&self, name: &str) -> Option<Members<'a>> {
        self.inner.object(name).or_else(|| self.outer.object(name))
    }

    pub(super) fn array(&self, name: &str) -> Vec<&'a RawValue> {
        let inner = self.inner.array(name);
        if inner.is_empty() {
            self.outer.array(name)
        } else {
            inner
        }
    }
}

/// Two readers of an object that names the actor could see two actors, so it may not repeat a member.
pub(super) fn no_duplicate(what: &str, members: &Members<'_>) -> Result<(), Reject> {
    match &members.duplicate {
        Some(name) => Err(twice(what, name)),
        None => Ok(()),
    }
}

/// The same for the record itself, which may repeat what is not about the actor (`level` and `Level` do occur).
pub(super) fn once(members: &Members<'_>, actor: &[&str]) -> Result<(), Reject> {
    if members.duplicate.is_none() {
        return Ok(());
    }
    let repeated = actor.iter().find(|name| {
        let same = members
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        same.count() > 1
    });
    match repeated {
        Some(name) => Err(twice("the record", name)),
        None => Ok(()),
    }
}

fn twice(what: &str, name: &str) -> Reject {
    Reject::new(
        RejectCode::DuplicateKey,
        format!("{what} holds {name:.60} twice"),
    )
}

/// When an event happened, and whether the record itself says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) time: Micros,
    /// `false`: the time is that of the message, so a second delivery has another one.
    pub(super) stated: bool,
}

/// The first of `stated` that is a time, else the broker's time of the message.
pub(super) fn event_time(
    element: &Element<'_>,
    stated: &[Option<Cow<'_, str>>],
    flags: &mut Flags,
) -> Result<When, Reject> {
    let mut unreadable = None;
    for text in stated.iter().flatten() {
        match time::parse(text) {
            Some(parsed) => {
                if parsed.guessed {
                    flags.raise(Flags::TIME_GUESSED);
                }
                return Ok(When {
                    time: parsed.time,
                    stated: true,
                });
            }
            None => unreadable = unreadable.or(Some(text)),
        }
    }
    if let Some(text) = unreadable {
        return Err(Reject::new(
            RejectCode::BadField,
            format!("the event's time: {text:.40} is not a time"),
        ));
    }
    let Some(time) = element.appended_at else {
        return Err(Reject::new(
            RejectCode::NoTime,
            "no member of the record is a time, and the message has none of its own",
        ));
    };
    flags.raise(Flags::TIME_GUESSED);
    Ok(When {
        time,
        stated: false,
    })
}

/// What tells the rows of one correlation apart in logs that number correlations but not rows (DD-4).
#[derive(Clone, Copy, Debug)]
pub(super) struct RowKey<'r> {
    pub(super) correlation: Option<&'r str>,
    pub(super) operation: &'r str,
    pub(super) result: &'r str,
    pub(super) when: When,
    pub(super) resource: &'r str,
}

/// An id that a second copy of the row gets too, also when it came through another export.
pub(super) fn row_uid<'a>(
    prefix: &str,
    key: RowKey<'_>,
    element: &Element<'a>,
    flags: &mut Flags,
) -> Cow<'a, str> {
    let Some(correlation) = key.correlation else {
        flags.raise(Flags::ID_DERIVED);
        return element.derived_uid();
    };
    let time = if key.when.stated {
        key.when.time.0.to_string()
    } else {
        String::new()
    };
    let fields = [correlation, key.operation, key.result, &time, key.resource];
    let digest = sha256(fields.join("\n").as_bytes());
    Cow::Owned(format!("{prefix}:{}", hex(&digest[..16])))
}

/// How an action ended: the first of `words` that says so. A row that tells of a start tells of no end.
pub(super) fn outcome(words: &[Option<Cow<'_, str>>]) -> Outcome {
    for word in words.iter().flatten() {
        let word = word.trim().trim_end_matches('.').to_ascii_lowercase();
        match word.as_str() {
            "success" | "succeeded" | "ok" | "completed" | "created" => return Outcome::Success,
            "failure" | "failed" | "fail" | "error" | "forbidden" | "unauthorized" | "denied"
            | "notfound" | "conflict" | "timeout" | "clienterror" | "servererror" => {
                return Outcome::Failure;
            }
            "start" | "started" | "accept" | "accepted" | "in progress" | "inprogress" => {
                return Outcome::Unknown;
            }
            _ => (),
        }
        // Either an HTTP status or an Entra error code, of which 0 is the only good one and none has three digits.
        match word.parse::<u32>() {
            Ok(0 | 200..=399) => return Outcome::Success,
            Ok(_) => return Outcome::Failure,
            Err(_) => (),
        }
    }
    Outcome::Unknown
}

/// A source address without its port: `203.0.113.9:443`, `[2001:db8::9]:443`. Everything else as it stands.
pub(super) fn address(text: Cow<'_, str>) -> Cow<'_, str> {
    let bare = if let Some(rest) = text.strip_prefix('[') {
        rest.split_once(']').map(|(address, _)| address)
    } else {
        text.split_once(':')
            .filter(|(address, port)| address.contains('.') && !port.contains(':'))
            .map(|(address, _)| address)
    };
    match bare {
        Some(bare) => Cow::Owned(bare.to_owned()),
        None => text,
    }
}

/// `properties` as JSON text, where it is an object that is short enough to keep in every row.
pub(super) fn params<'a>(members: &Members<'a>) -> Option<&'a str> {
    members
        .get("properties")
        .or_else(|| members.get("properties_d"))
        .map(RawValue::get)
        .filter(|text| text.starts_with('{') && fits(text))
}

/// Whether `text` is more than an empty object and short enough for `params_json`.
pub(super) fn fits(text: &str) -> bool {
    text.len() > 2 && text.len() <= PARAMS_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::SOURCES;
    use crate::model::LogSource;

    #[test]
    fn a_token_id_is_its_sign_in_in_every_form() {
        let own = "12345678-9abc-4def-8123-456789abcdef";
        for (uti, expected) in [
            (
                "Sr90nLu8UkmUYbW6vJYfAA",
                Some("9c74bf4a-bcbb-4952-9461-b5babc961f00"),
            ),
            (
                "Gths1Iip-EimEn4Nts92AA",
                Some("d46cd81a-a988-48f8-a612-7e0db6cf7600"),
            ),
            (
                "6jrFn7lsRUCRkUKjEJ5MAA",
                Some("9fc53aea-6cb9-4045-9191-42a3109e4c00"),
            ),
            (
                "cRZ8-NDqNECeq2PmIKW8Ag",
                Some("f87c1671-ead0-4034-9eab-63e620a5bc02"),
            ),
            (
                "cRZ8+NDqNECeq2PmIKW8Ag==",
                Some("f87c1671-ead0-4034-9eab-63e620a5bc02"),
            ),
            (
                "MTIzNDU2NzgtOWFiYy00ZGVmLTgxMjMtNDU2Nzg5YWJjZGVm",
                Some(own),
            ),
            ("12345678-9ABC-4DEF-8123-456789ABCDEF", Some(own)),
            ("not a token", None),
            ("YWJj", None),
            ("", None),
        ] {
            assert_eq!(token_guid(uti).as_deref(), expected, "{uti}");
        }
    }

    /// ID-1.
    #[test]
    fn guids_get_dashes_and_lower_case() {
        for (text, expected) in [
            (
                "AAAABBBBCCCC4DDD8EEEFFFF00001111",
                "aaaabbbb-cccc-4ddd-8eee-ffff00001111",
            ),
            (
                "AAAABBBB-CCCC-4DDD-8EEE-FFFF00001111",
                "aaaabbbb-cccc-4ddd-8eee-ffff00001111",
            ),
            ("Device-7", "device-7"),
        ] {
            assert_eq!(guid(Cow::Borrowed(text)), expected);
        }
    }

    #[test]
    fn addresses_lose_their_port_only() {
        for (text, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:4431", "203.0.113.9"),
            ("[2001:db8::9]:443", "2001:db8::9"),
            ("2001:db8::9", "2001:db8::9"),
            ("::ffff:203.0.113.9", "::ffff:203.0.113.9"),
        ] {
            assert_eq!(address(Cow::Borrowed(text)), expected);
        }
    }

    #[test]
    fn only_an_end_is_an_outcome() {
        for (words, expected) in [
            (["Success", ""], Outcome::Success),
            (["Succeeded.", ""], Outcome::Success),
            (["0", ""], Outcome::Success),
            (["204", ""], Outcome::Success),
            (["Start", "Succeeded"], Outcome::Unknown),
            (["Accept", ""], Outcome::Unknown),
            (["Active", "Succeeded"], Outcome::Success),
            (["Failed", "409"], Outcome::Failure),
            (["7000215", ""], Outcome::Failure),
            (["", ""], Outcome::Unknown),
        ] {
            let words = words.map(|word| (!word.is_empty()).then_some(Cow::Borrowed(word)));
            assert_eq!(outcome(&words), expected, "{words:?}");
        }
    }

    #[test]
    fn every_shape_has_one_source_or_none() {
        use LogSource::{AzureActivity, EntraAudit, EntraSignin, GraphActivity, KeyVault};
        let vault = "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/V";
        let arm = r#""resourceId":"/subscriptions/s","time":"t","operationName""#;
        for (record, expected) in [
            (format!(r#"{{"category":"Policy",{arm}:"A/B"}}"#), Some(AzureActivity)),
            (format!(r#"{{"category":"Write",{arm}:"A/B"}}"#), Some(AzureActivity)),
            (format!(r#"{{{arm}:{{"value":"A.B/C"}},"caller":"x"}}"#), Some(AzureActivity)),
            (r#"{"Type":"AzureActivity","OperationNameValue":"A.B/C"}"#.into(), Some(AzureActivity)),
            (r#"{"category":"Policy","operationName":"x","resourceId":"/tenants/t","properties":{"activityDisplayName":"x","initiatedBy":{}}}"#.into(), Some(EntraAudit)),
            (r#"{"category":"AuditLogs","operationName":"x"}"#.into(), Some(EntraAudit)),
            (r#"{"activityDisplayName":"x","category":"Policy","loggedByService":"y"}"#.into(), Some(EntraAudit)),
            (r#"{"Category":"SignInLogs","operationname":"x"}"#.into(), Some(EntraSignin)),
            (r#"{"Type":"AADNonInteractiveUserSignInLogs"}"#.into(), Some(EntraSignin)),
            (r#"{"createdDateTime":"t","appId":"a","userPrincipalName":"u"}"#.into(), Some(EntraSignin)),
            (r#"{"category":"MicrosoftGraphActivityLogs"}"#.into(), Some(GraphActivity)),
            (r#"{"RequestMethod":"GET","RequestUri":"https://graph.microsoft.com/v1.0/me"}"#.into(), Some(GraphActivity)),
            (format!(r#"{{"category":"AuditEvent","operationName":"SecretGet","resourceId":"{vault}"}}"#), Some(KeyVault)),
            (r#"{"Category":"AuditEvent","ResourceProvider":"MICROSOFT.KEYVAULT"}"#.into(), Some(KeyVault)),
            (r#"{"category":"AuditEvent","operationName":"x","resourceId":"/subscriptions/s"}"#.into(), None),
            (format!(r#"{{"category":"FunctionAppLogs",{arm}:"Microsoft.Web/sites/functions/log"}}"#), None),
            (format!(r#"{{"category":"StorageRead",{arm}:"GetBlob","identity":{{"type":"OAuth"}}}}"#), None),
            (r#"{"category":"NoSuch","operationName":"SecretGet","resourceId":"/R","time":"t","identity":"x"}"#.into(), None),
            (r#"{"category":"Security","message":"x"}"#.into(), None),
            ("{}".into(), None),
        ] {
            let members = Members::parse(&record).unwrap();
            let sources: Vec<LogSource> = SOURCES
                .iter()
                .filter(|source| (source.recognises)(&members))
                .map(|source| source.source)
                .collect();
            assert_eq!(sources, Vec::from_iter(expected), "{record}");
        }
    }
}
