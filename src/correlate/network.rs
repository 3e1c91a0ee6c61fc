//! Where a request came from: what kind of source it is, and the network it stands for in a profile.
//!
//! Only a public address, or a private one behind a named VPC endpoint (AWS-25), says where a caller is. Service names,
//! `AWS Internal`, proxies' private addresses and Microsoft's internal IPv6 say nothing (AWS-20, D-5 to D-9, AZ-26) and
//! therefore give no network at all.

use std::net::{IpAddr, Ipv6Addr};

use super::Place;

/// What a source address field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Public,
    Private,
    /// The DNS name of one of the provider's services.
    ProviderService,
    /// `AWS Internal`.
    ProviderInternal,
    Unparsed,
}

impl SourceKind {
    /// The name as rows spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::ProviderService => "provider_service",
            Self::ProviderInternal => "provider_internal",
            Self::Unparsed => "unparsed",
        }
    }
}

/// A classified source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub kind: SourceKind,
    pub ip: Option<IpAddr>,
    /// `203.0.113.0/24`, `2001:db8:7::/48` or `vpce-…`.
    pub network: Option<String>,
    /// What files that users bring say of it; nothing until they are asked.
    pub place: Place,
}

/// Classifies the source field `raw`, seen through `vpc_endpoint` if there was one.
pub fn classify(raw: &str, vpc_endpoint: Option<&str>) -> Source {
    let text = without_port(raw.trim());
    if let Ok(ip) = text.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        let endpoint = vpc_endpoint.filter(|endpoint| endpoint.starts_with("vpce-"));
        if public(ip) {
            return Source {
                kind: SourceKind::Public,
                ip: Some(ip),
                network: Some(prefix(ip)),
                place: Place::default(),
            };
        }
        return Source {
            kind: SourceKind::Private,
            ip: Some(ip),
            network: endpoint.map(str::to_owned),
            place: Place::default(),
        };
    }
    let kind = if raw.starts_with("AWS Internal") {
        SourceKind::ProviderInternal
    } else if raw.ends_with(".amazonaws.com") || raw.ends_with(".amazon.com") {
        SourceKind::ProviderService
    } else {
        SourceKind::Unparsed
    };
    Source {
        kind,
        ip: None,
        network: None,
        place: Place::default(),
    }
}

/// Azure writes `203.0.113.7:51234` and `[2001:db8::1]:443` in some logs.
fn without_port(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') && host.contains('.') => host,
        _ => text,
    }
}

/// The network an address stands for: /24 for IPv4, /48 for IPv6. Neighbours share a site, not a machine.
fn prefix(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// Whether the address is routed on the internet. Documentation ranges count as public: samples and simulations use
/// them in that place.
fn public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || shared)
        }
        IpAddr::V6(ip) => {
            let first = ip.segments()[0];
            let unique_local = first & 0xfe00 == 0xfc00;
            let link_local = first & 0xffc0 == 0xfe80;
            !(ip.is_loopback() || ip.is_unspecified() || unique_local || link_local)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS-20, AZ-26, D-5 to D-7: what is no public address, nor a private one behind an endpoint, is no network.
    #[test]
    fn sources_are_what_they_are() {
        let check = |raw: &str, endpoint, kind, network: Option<&str>| {
            let source = classify(raw, endpoint);
            assert_eq!(source.kind, kind, "{raw}");
            assert_eq!(source.network.as_deref(), network, "{raw}");
        };
        check(
            "203.0.113.7",
            None,
            SourceKind::Public,
            Some("203.0.113.0/24"),
        );
        check(
            "203.0.113.7:51234",
            None,
            SourceKind::Public,
            Some("203.0.113.0/24"),
        );
        check(
            "2001:db8:7:1::9",
            None,
            SourceKind::Public,
            Some("2001:db8:7::/48"),
        );
        check(
            "[2001:db8:7:1::9]:443",
            None,
            SourceKind::Public,
            Some("2001:db8:7::/48"),
        );
        check(
            "::ffff:203.0.113.7",
            None,
            SourceKind::Public,
            Some("203.0.113.0/24"),
        );
        check("10.1.2.3", None, SourceKind::Private, None);
        check(
            "10.1.2.3",
            Some("vpce-0a1"),
            SourceKind::Private,
            Some("vpce-0a1"),
        );
        check("10.1.2.3", Some("AWS Internal"), SourceKind::Private, None);
        check("fde4:8dba:1::1", None, SourceKind::Private, None);
        check("AWS Internal/3", None, SourceKind::ProviderInternal, None);
        check("kms.amazonaws.com", None, SourceKind::ProviderService, None);
        check("harry's laptop", None, SourceKind::Unparsed, None);
    }
}
