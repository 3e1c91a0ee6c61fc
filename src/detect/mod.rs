//! One file per detector: a question asked of every sighting, with the profile as it was *before* it.
//!
//! A detector decides from what it is handed and remembers nothing itself: profiles remember for all of them. It says
//! what was seen, what was expected and on how much history that rests; the engine turns that into a finding, follows
//! the situation for a day and counts what else happened in it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod concurrent_origins;
pub mod cross_system;
pub mod denied_burst;
pub mod evidence_tampering;
pub mod first_operation;
pub mod human_use;
pub mod new_credential_use;
pub mod off_home;
pub mod privilege_escalation;
pub mod reactivated;
pub mod secret_sweep;
pub mod stolen_service_role;
pub mod unusual_origin;
pub mod volume_spike;
pub mod zombie_use;

use std::fmt;

use crate::correlate::{Dimension, KnownCredential, KnownIdentity, Profile, Sighting};
use crate::model::{Confidence, Severity, Uid, Why};

pub use concurrent_origins::Params as ConcurrentOrigins;
pub use cross_system::Params as CrossSystem;
pub use denied_burst::Params as DeniedBurst;
pub use evidence_tampering::Params as EvidenceTampering;
pub use first_operation::Params as FirstOperation;
pub use human_use::Params as HumanUse;
pub use new_credential_use::Params as NewCredentialUse;
pub use off_home::Params as OffHome;
pub use privilege_escalation::Params as PrivilegeEscalation;
pub use reactivated::Params as Reactivated;
pub use secret_sweep::Params as SecretSweep;
pub use stolen_service_role::Params as StolenServiceRole;
pub use unusual_origin::Params as UnusualOrigin;
pub use volume_spike::Params as VolumeSpike;
pub use zombie_use::Params as ZombieUse;

/// Thresholds of every detector; `None` switches one off.
#[derive(Clone, Debug)]
pub struct Params {
    pub concurrent_origins: Option<ConcurrentOrigins>,
    pub cross_system: Option<CrossSystem>,
    pub denied_burst: Option<DeniedBurst>,
    pub evidence_tampering: Option<EvidenceTampering>,
    pub first_operation: Option<FirstOperation>,
    pub human_use: Option<HumanUse>,
    pub new_credential_use: Option<NewCredentialUse>,
    pub off_home: Option<OffHome>,
    pub privilege_escalation: Option<PrivilegeEscalation>,
    pub reactivated: Option<Reactivated>,
    pub secret_sweep: Option<SecretSweep>,
    pub stolen_service_role: Option<StolenServiceRole>,
    pub unusual_origin: Option<UnusualOrigin>,
    pub volume_spike: Option<VolumeSpike>,
    pub zombie_use: Option<ZombieUse>,
}

/// What was known before the event that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// What is normal for the machine identity. Empty if this is its first event.
    pub profile: &'a Profile,
    /// The identity whose permissions are used, and the one at the beginning of the chain. What the event itself says of
    /// them is known already, but for who acts.
    pub acting: Option<&'a KnownIdentity>,
    pub origin: Option<&'a KnownIdentity>,
    pub credential: Option<&'a KnownCredential>,
    /// Whom each of the event's changes is about, in their order.
    pub targets: &'a [Option<Uid>],
}

/// What a detector says about one sighting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the situation is about: the network, tenant or credential. Later events with the same key belong to it.
    pub key: Uid,
    pub severity: Severity,
    pub confidence: Confidence,
    pub title: String,
    pub summary: String,
    pub why: Vec<Why>,
    pub related_uids: Vec<Uid>,
}

/// One detector.
pub trait Detector: fmt::Debug + Send + Sync {
    /// The name under which rows, configuration and controls know it.
    fn name(&self) -> &'static str;

    /// Raised when the same events would give other findings than before.
    fn version(&self) -> i32;

    /// MITRE ATT&CK technique ids that this behaviour is a sign of.
    fn attacks(&self) -> &'static [&'static str];

    /// Controls that this behaviour bears on, by the ids of `schemas/controls.toml`.
    fn controls(&self) -> &'static [&'static str];

    /// What the detector says about `sighting`, given what was known before it.
    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict>;

    /// Whether `sighting`, of the same identity and within a day, belongs to the situation with this key.
    fn continues(&self, key: &str, sighting: &Sighting, before: &Before<'_>) -> bool;

    /// Whether it is asked about what people do with a machine's identity too.
    fn judges_people(&self) -> bool {
        false
    }
}

/// Every detector that is switched on, alphabetically.
pub fn detectors(params: &Params) -> Vec<Box<dyn Detector>> {
    fn on<P: Clone, D: Detector + 'static>(
        params: Option<&P>,
        detector: impl FnOnce(P) -> D,
    ) -> Option<Box<dyn Detector>> {
        params.map(|params| -> Box<dyn Detector> { Box::new(detector(params.clone())) })
    }
    [
        on(
            params.concurrent_origins.as_ref(),
            concurrent_origins::ConcurrentOrigins,
        ),
        on(params.cross_system.as_ref(), cross_system::CrossSystem),
        on(params.denied_burst.as_ref(), denied_burst::DeniedBurst),
        on(
            params.evidence_tampering.as_ref(),
            evidence_tampering::EvidenceTampering,
        ),
        on(
            params.first_operation.as_ref(),
            first_operation::FirstOperation,
        ),
        on(params.human_use.as_ref(), human_use::HumanUse),
        on(
            params.new_credential_use.as_ref(),
            new_credential_use::NewCredentialUse,
        ),
        on(params.off_home.as_ref(), off_home::OffHome),
        on(
            params.privilege_escalation.as_ref(),
            privilege_escalation::PrivilegeEscalation,
        ),
        on(params.reactivated.as_ref(), reactivated::Reactivated),
        on(params.secret_sweep.as_ref(), secret_sweep::SecretSweep),
        on(
            params.stolen_service_role.as_ref(),
            stolen_service_role::StolenServiceRole,
        ),
        on(
            params.unusual_origin.as_ref(),
            unusual_origin::UnusualOrigin,
        ),
        on(params.volume_spike.as_ref(), volume_spike::VolumeSpike),
        on(params.zombie_use.as_ref(), zombie_use::ZombieUse),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How surprising what `sighting` shows in `dimension` is, if it is new there.
fn surprise(dimension: Dimension, sighting: &Sighting, before: &Profile) -> Option<Why> {
    let value = dimension.value(sighting)?;
    if before.stats(dimension, value).is_some() {
        return None;
    }
    let values = before.values(dimension);
    Some(Why {
        dimension: Uid::from(dimension.name()),
        observed: value.to_string(),
        expected: format!("one of {} known", values.seen.len()),
        window_days: before.age_days(sighting.event_time),
        n: values.hours,
        bits: Some(values.bits()),
    })
}

/// Whether an identity is too young to be surprised about: fewer days or active hours than these.
fn learning(before: &Profile, sighting: &Sighting, days_min: i64, hours_min: u64) -> bool {
    before.age_days(sighting.event_time) < days_min || before.hours < hours_min
}

/// The weaker of the attribution's confidence and the detector's own: a finding is no surer than who it is about.
fn no_surer_than(sighting: &Sighting, own: Confidence) -> Confidence {
    sighting.by.confidence.min(own)
}
