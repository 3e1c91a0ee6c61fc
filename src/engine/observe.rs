//! What happens to an event when its turn has come: it is judged against the profile before it, then joins the profile.

use std::sync::Arc;

use super::Engine;
use crate::attribute::{self, Attributor};
use crate::correlate::{self, Place, Profile, Sighting, Source};
use crate::detect::rules::Asked;
use crate::detect::{Before, Detector};
use crate::model::{
    Attribution, AuditEvent, Change, Outcome, Principal, RuleHit, Target, Tie, Uid,
};

/// The event reduced to what profiles and detectors need.
pub(super) fn sighting(
    event: &AuditEvent<'_>,
    event_uid: Uid,
    by: Arc<Attribution>,
    (changes, ties): (Vec<Change>, Vec<Tie>),
    (source, hits): (&Source, &[RuleHit]),
    names: &mut Attributor,
) -> Sighting {
    let (native, name) = match &event.principal {
        Principal::Aws(principal) => match &principal.issuer {
            Some(issuer) => (issuer.arn.as_deref(), issuer.user_name.as_deref()),
            None => (principal.arn.as_deref(), principal.user_name.as_deref()),
        },
        Principal::Azure(principal) => (principal.app_id.as_deref(), principal.name.as_deref()),
    };
    // A forwarded call shows the service's address, if any: it says nothing about the caller (FAS-2).
    let network = source.network.as_deref().filter(|_| by.via.is_empty());
    let place = if by.via.is_empty() {
        source.place.clone()
    } else {
        Place::default()
    };
    Sighting {
        event_uid,
        event_time: event.event_time,
        provider: event.source.provider(),
        by,
        acting_native: native.map(|text| names.intern(text)),
        acting_name: name.map(|text| names.intern(text)),
        changes,
        ties,
        privilege: attribute::privilege_shown(&event.service, &event.operation)
            .map(|(tier, group)| (tier, names.intern(group))),
        tenant_uid: event.tenant_uid.as_deref().map(|text| names.intern(text)),
        region: event.region.as_deref().map(|text| names.intern(text)),
        service: names.intern(&event.service),
        operation: names.intern(&event.operation),
        success: event.outcome == Outcome::Success,
        failure: event.outcome == Outcome::Failure,
        foreign_copy: event.foreign_copy(),
        read_only: event.read_only,
        network: network.map(|text| names.intern(text)),
        asn: place.asn.map(|asn| names.intern(&format!("AS{asn}"))),
        country: place.country,
        range: place.range,
        user_agent_family: event
            .network
            .user_agent
            .as_deref()
            .and_then(user_agent_family)
            .map(|family| names.intern(family)),
        client: event
            .network
            .user_agent
            .as_deref()
            .and_then(client)
            .map(|client| names.intern(client)),
        resource_class: event
            .resources
            .first()
            .and_then(|id| correlate::resource_class(id))
            .map(|class| names.intern(&class)),
        denied: event.error_code.as_deref().is_some_and(denied),
        person: person(event).map(|sign| names.intern(sign)),
        rules: hits.to_vec(),
    }
}

/// Whether an error says that the caller may not do this. AWS's services spell it in many ways ("Common Error Types" and
/// EC2's "Error codes"); Resource Manager says `AuthorizationFailed`, Graph and Key Vault answer 401 or 403.
fn denied(code: &str) -> bool {
    const ENDINGS: [&str; 8] = [
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationFailed",
        "Forbidden",
        "NotAuthorized",
        "Unauthorized",
        "UnauthorizedOperation",
    ];
    matches!(code, "401" | "403") || ENDINGS.iter().any(|ending| code.ends_with(ending))
}

/// The strongest sign in the record that a person is at work. None of them proves it: a browser is what a caller says of
/// itself, and a second factor may have been given hours before.
fn person(event: &AuditEvent<'_>) -> Option<&'static str> {
    if let Principal::Aws(principal) = &event.principal {
        if principal.from_console || event.operation == "ConsoleLogin" {
            return Some("console");
        }
        if principal.mfa == Some(true) {
            return Some("mfa");
        }
    }
    let agent = event.network.user_agent.as_deref()?;
    // PowerShell calls itself Mozilla too.
    let browser = agent.starts_with("Mozilla/") && !agent.contains("PowerShell");
    browser.then_some("browser")
}

/// The first product of a user agent, without its version: `aws-cli/2.15.0 …` → `aws-cli`. Evidence only, because callers
/// choose it (AWS-22).
pub(super) fn user_agent_family(text: &str) -> Option<&str> {
    let product = text.trim_start_matches('[').split(['/', ' ', ',']).next()?;
    (!product.is_empty() && product.len() <= 64).then_some(product)
}

/// The first product of a user agent with the first number of its version: `aws-cli/2.15.0 …` → `aws-cli/2`.
fn client(text: &str) -> Option<&str> {
    let family = user_agent_family(text)?;
    let text = text.trim_start_matches('[');
    let version = text[family.len()..].strip_prefix('/')?;
    let major = version.bytes().take_while(u8::is_ascii_digit).count();
    (1..=9)
        .contains(&major)
        .then(|| &text[..family.len() + 1 + major])
}

/// Whose conduct an event is: the machine identity that was used. What people and providers do is for the user's rules
/// alone.
pub(super) fn judged(sighting: &Sighting) -> Option<&Uid> {
    let asked = !sighting.rules.is_empty();
    sighting
        .wielded()
        .or_else(|| asked.then_some(&sighting.by.identity_uid))
}

impl Engine {
    /// Judges `sighting` if it came in order, then makes it part of what is known.
    pub(super) fn observe(&mut self, sighting: &Sighting, in_order: bool) {
        self.sweeps.saw(sighting);
        let targets = self.change(sighting);
        self.know(sighting);
        let attributor = &mut self.attributor;
        let mut identity = |target: &Target| attributor.target(target, sighting.event_time);
        for link in self.links.add(sighting, &mut identity) {
            self.rows.link(&link);
        }
        self.usage.add(sighting);
        let before = sighting
            .profiled()
            .and_then(|identity| self.profiles.get(identity));
        self.newcomers.add(sighting, before);
        if in_order && let Some(identity) = judged(sighting) {
            self.judge(identity, sighting, &targets);
        }
        self.used(sighting);
        let Some(identity) = sighting.profiled() else {
            return;
        };
        let own = self
            .profiles
            .entry(identity, || Profile::new(sighting.event_time));
        let fresh = own.add(sighting);
        for dimension in &fresh.doubled {
            if let Some(value) = dimension.value(sighting)
                && let Some(stats) = own.stats(*dimension, value)
            {
                let day = sighting.event_time.day();
                self.rows
                    .baseline(identity, (*dimension, value), stats, day);
            }
        }
        if !fresh.succeeded.is_empty()
            && let Some(known) = self.identities.get(identity)
        {
            self.peers.add(known, own, (sighting, &fresh.succeeded));
        }
        if self.profiles.len() > self.params.profiles_max {
            self.forget_profiles();
        }
    }

    /// Asks every detector, and every rule that the record satisfies. What a person does with a machine's identity is judged
    /// by the detectors of that alone, and never becomes normal for the machine.
    pub(super) fn judge(&mut self, identity: &Uid, sighting: &Sighting, targets: &[Option<Uid>]) {
        let machine = sighting.profiled().is_some();
        let wielded = sighting.wielded().is_some();
        let unknown;
        let profile = match self.profiles.get(identity) {
            Some(profile) => profile,
            None => {
                unknown = Profile::new(sighting.event_time);
                &unknown
            }
        };
        let by = &sighting.by;
        let newcomers = sighting.network.as_ref();
        let known = self.identities.get(identity);
        // Rules alone ask for it.
        let facts = known.filter(|_| !sighting.rules.is_empty());
        let facts = facts.and_then(|known| self.inventory.facts(identity, known));
        let young = profile.young(sighting.event_time, self.young);
        let mut before = Before {
            profile,
            peers: known
                .filter(|_| young)
                .and_then(|known| self.peers.of(known)),
            acting: self.identities.get(&by.acting_uid),
            origin: self.identities.get(&by.origin_uid),
            facts: facts.as_deref(),
            credential: by
                .credential_uid
                .as_ref()
                .and_then(|credential| self.credentials.get(credential)),
            maker: None,
            newcomers: newcomers.map_or(&[], |network| self.newcomers.of(network)),
            targets,
        };
        before.maker = before
            .made_by()
            .and_then(|maker| self.identities.get(maker));
        let rules = self.params.rules.as_deref();
        let hits: Vec<Asked<'_>> = rules
            .into_iter()
            .flat_map(|rules| sighting.rules.iter().map(move |hit| Asked { rules, hit }))
            .collect();
        let asked = || {
            let own = self.detectors.iter().map(AsRef::as_ref);
            own.filter(|detector| machine || wielded && detector.judges_people())
                .chain(hits.iter().map(|hit| -> &dyn Detector { hit }))
        };
        let followed = self
            .situations
            .follow(identity, sighting, &before, &mut asked());
        let mut findings = followed.revisions;
        for detector in asked() {
            if let Some(verdict) = detector.judge(sighting, &before)
                && !followed
                    .by
                    .contains(&(detector.name(), verdict.key.clone()))
            {
                findings.extend(self.situations.open(detector, identity, sighting, verdict));
            }
        }
        for finding in &findings {
            self.report(finding);
        }
    }

    /// Puts together what peers do from what each identity does: after state of a form that had no peers.
    pub(super) fn gather_peers(&mut self) {
        let mut all: Vec<(&Uid, &Profile)> = self.profiles.unordered().collect();
        all.sort_by_key(|(one, _)| *one);
        for (identity, profile) in all {
            if let Some(known) = self.identities.get(identity) {
                self.peers.gather(known, profile);
            }
        }
        self.peers.forgotten = false;
    }

    /// Drops the profiles of the identities that were seen longest ago, a sixteenth of all at once.
    fn forget_profiles(&mut self) {
        let count = self.params.profiles_max / 16 + 1;
        self.profiles_evicted += self
            .profiles
            .forget_least(count, |profile| profile.last_seen_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_other_errors() {
        for code in [
            "AccessDenied",
            "Client.UnauthorizedOperation",
            "LinkedAuthorizationFailed",
            "403",
        ] {
            assert!(denied(code), "{code}");
        }
        for code in [
            "NoSuchKey",
            "ThrottlingException",
            "404",
            "ResourceNotFound",
        ] {
            assert!(!denied(code), "{code}");
        }
    }

    #[test]
    fn clients_keep_their_major_version() {
        for (text, expected) in [
            ("aws-cli/2.15.0 Python/3.11", Some("aws-cli/2")),
            ("[aws-sdk-go/1.2]", Some("aws-sdk-go/1")),
            ("Boto3/1.26.7", Some("Boto3/1")),
            ("ec2.amazonaws.com", None),
            ("tool/v2", None),
            ("tool/20261124120000", None),
        ] {
            assert_eq!(client(text), expected);
        }
    }

    #[test]
    fn user_agents_keep_their_first_product() {
        for (text, family) in [
            ("aws-cli/2.15.0 Python/3.11", Some("aws-cli")),
            ("[aws-sdk-go/1.2]", Some("aws-sdk-go")),
            ("S3Console/0.4, aws-internal/3", Some("S3Console")),
            ("ec2.amazonaws.com", Some("ec2.amazonaws.com")),
            ("", None),
        ] {
            assert_eq!(user_agent_family(text), family);
        }
    }
}
