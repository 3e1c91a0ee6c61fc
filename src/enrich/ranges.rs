//! Lists of the ranges of providers, in the forms in which providers publish them.
//!
//! | form | told by |
//! | --- | --- |
//! | AWS, `ip-ranges.json` ("AWS IP address ranges", syntax) | `prefixes` with `ip_prefix` |
//! | Google Cloud, `cloud.json` | `prefixes` with `ipv4Prefix` |
//! | Azure, service tags ("Virtual network service tags", discover by downloadable JSON files) | `values` |
//! | GitHub, answer of the meta API, and others like it | lists of ranges by name |
//! | one's own text | a range and a name on each line |

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use serde_json::Value;

use crate::model::Uid;

/// Ranges of every list, the narrowest first to be found.
#[derive(Default)]
pub(super) struct Ranges {
    v4: PrefixMap<Ipv4Net, Uid>,
    v6: PrefixMap<Ipv6Net, Uid>,
}

impl Ranges {
    /// Takes ranges with their names. Of names with the same range the one with the fewest ranges is kept: it says most.
    pub(super) fn new(listed: Vec<(IpNet, String)>) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, name) in &listed {
            *counts.entry(name).or_default() += 1;
        }
        let mut order: Vec<(usize, &String, &IpNet)> = listed
            .iter()
            .map(|(range, name)| (counts[name.as_str()], name, range))
            .collect();
        // The last one stays.
        order.sort_by(|a, b| b.cmp(a));
        let mut ranges = Self::default();
        for (_, name, range) in order {
            match range {
                IpNet::V4(range) => drop(ranges.v4.insert(*range, Uid::from(name.as_str()))),
                IpNet::V6(range) => drop(ranges.v6.insert(*range, Uid::from(name.as_str()))),
            }
        }
        ranges
    }

    /// Name of the narrowest range that holds `ip`.
    pub(super) fn find(&self, ip: IpAddr) -> Option<Uid> {
        let found = match ip {
            IpAddr::V4(ip) => self.v4.get_lpm(&Ipv4Net::from(ip)).map(|(_, name)| name),
            IpAddr::V6(ip) => self.v6.get_lpm(&Ipv6Net::from(ip)).map(|(_, name)| name),
        };
        found.cloned()
    }
}

/// The ranges in `text`, whose file is called `stem`.
pub(super) fn listed(stem: &str, text: &str) -> Result<Vec<(IpNet, String)>, String> {
    let listed = if text.trim_start().starts_with('{') {
        let json = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        of_json(stem, &json)?
    } else {
        of_lines(text)?
    };
    if listed.is_empty() {
        return Err("it holds no range of any form that is known".to_owned());
    }
    Ok(listed)
}

fn of_json(stem: &str, json: &Value) -> Result<Vec<(IpNet, String)>, String> {
    let list = |name: &str| json[name].as_array().map_or(&[][..], Vec::as_slice);
    let text = |entry: &Value, name: &str| entry[name].as_str().map(str::to_owned);
    let mut listed = Vec::new();
    for entry in list("prefixes").iter().chain(list("ipv6_prefixes")) {
        let aws = text(entry, "ip_prefix").or_else(|| text(entry, "ipv6_prefix"));
        let google = text(entry, "ipv4Prefix").or_else(|| text(entry, "ipv6Prefix"));
        let (word, name) = match (aws, google) {
            (Some(word), _) => {
                let service = text(entry, "service").unwrap_or_default();
                let region = text(entry, "region").unwrap_or_default();
                (word, format!("aws/{service}/{region}"))
            }
            (None, Some(word)) => {
                let scope = text(entry, "scope").unwrap_or_else(|| "global".to_owned());
                (word, format!("google/{scope}"))
            }
            (None, None) => return Err(format!("an entry without a range: {entry}")),
        };
        listed.push((range(&word)?, name));
    }
    for entry in list("values") {
        let name = text(entry, "name").unwrap_or_default();
        let own = entry["properties"]["addressPrefixes"].as_array();
        for word in own.into_iter().flatten().filter_map(Value::as_str) {
            listed.push((range(word)?, format!("azure/{name}")));
        }
    }
    if !listed.is_empty() {
        return Ok(listed);
    }
    for (name, own) in json.as_object().into_iter().flatten() {
        let words = own
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        // Keys, domains and links stand beside them.
        listed.extend(words.filter_map(|word| Some((range(word).ok()?, format!("{stem}/{name}")))));
    }
    Ok(listed)
}

fn of_lines(text: &str) -> Result<Vec<(IpNet, String)>, String> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (word, name) = line
                .split_once([' ', '\t', ',', ';'])
                .ok_or_else(|| format!("line {number}: a range and a name are wanted"))?;
            let range = range(word).map_err(|reason| format!("line {number}: {reason}"))?;
            let name = name.trim_matches([' ', '\t', ',', ';']);
            if name.is_empty() {
                return Err(format!("line {number}: a range and a name are wanted"));
            }
            Ok((range, name.to_owned()))
        })
        .collect()
}

/// A range, or one address.
fn range(word: &str) -> Result<IpNet, String> {
    let one = || word.parse::<IpAddr>().ok().map(IpNet::from);
    let net = word.parse::<IpNet>().ok().or_else(one);
    net.map(|net| net.trunc())
        .ok_or_else(|| format!("{word:?} is no range like 203.0.113.0/24"))
}
