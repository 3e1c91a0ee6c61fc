//! One file per detector: a question asked of every sighting, with the profile as it was *before* it.
//!
//! A detector decides from what it is handed and remembers nothing itself: profiles remember for all of them. It says
//! what was seen, what was expected and on how much history that rests; the engine turns that into a finding, follows
//! the situation for a day and counts what else happened in it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod concurrent_origins;
pub mod cross_system;
pub mod denied_burst;
pub mod dormant;
pub mod dormant_privileged;
pub mod evidence_tampering;
pub mod fan_out;
pub mod first_operation;
pub mod human_use;
pub mod leaver;
pub mod never_used;
pub mod new_credential_use;
pub mod new_trust;
pub mod off_home;
pub mod overdue_rotation;
pub mod privilege_escalation;
pub mod reactivated;
pub mod rules;
pub mod secret_sweep;
pub mod shared_credential;
pub mod stolen_service_role;
pub mod suppress;
mod surprise;
pub mod sweep;
pub mod unowned;
pub mod unusual_origin;
pub mod volume_spike;
pub mod zombie_use;

use std::fmt;

use crate::correlate::{KnownCredential, KnownIdentity, Newcomer, PeerGroup, Profile, Sighting};
use crate::model::{Confidence, Facts, Micros, Severity, Uid, Why};

use surprise::new_to;

pub use concurrent_origins::Params as ConcurrentOrigins;
pub use cross_system::Params as CrossSystem;
pub use denied_burst::Params as DeniedBurst;
pub use dormant::Params as Dormant;
pub use dormant_privileged::Params as DormantPrivileged;
pub use evidence_tampering::Params as EvidenceTampering;
pub use fan_out::Params as FanOut;
pub use first_operation::Params as FirstOperation;
pub use human_use::Params as HumanUse;
pub use leaver::Params as Leaver;
pub use never_used::Params as NeverUsed;
pub use new_credential_use::Params as NewCredentialUse;
pub use new_trust::Params as NewTrust;
pub use off_home::Params as OffHome;
pub use overdue_rotation::Params as OverdueRotation;
pub use privilege_escalation::Params as PrivilegeEscalation;
pub use reactivated::Params as Reactivated;
pub use secret_sweep::Params as SecretSweep;
pub use shared_credential::Params as SharedCredential;
pub use stolen_service_role::Params as StolenServiceRole;
pub use suppress::{Snooze, Suppression};
pub use sweep::{Subject, Sweep, Word};
pub use unowned::Params as Unowned;
pub use unusual_origin::Params as UnusualOrigin;
pub use volume_spike::Params as VolumeSpike;
pub use zombie_use::Params as ZombieUse;

/// Thresholds of every detector; `None` switches one off.
#[derive(Clone, Debug)]
pub struct Params {
    pub concurrent_origins: Option<ConcurrentOrigins>,
    pub cross_system: Option<CrossSystem>,
    pub denied_burst: Option<DeniedBurst>,
    pub dormant: Option<Dormant>,
    pub dormant_privileged: Option<DormantPrivileged>,
    pub evidence_tampering: Option<EvidenceTampering>,
    pub fan_out: Option<FanOut>,
    pub first_operation: Option<FirstOperation>,
    pub human_use: Option<HumanUse>,
    pub leaver: Option<Leaver>,
    pub never_used: Option<NeverUsed>,
    pub new_credential_use: Option<NewCredentialUse>,
    pub new_trust: Option<NewTrust>,
    pub off_home: Option<OffHome>,
    pub overdue_rotation: Option<OverdueRotation>,
    pub privilege_escalation: Option<PrivilegeEscalation>,
    pub reactivated: Option<Reactivated>,
    pub secret_sweep: Option<SecretSweep>,
    pub shared_credential: Option<SharedCredential>,
    pub stolen_service_role: Option<StolenServiceRole>,
    pub unowned: Option<Unowned>,
    pub unusual_origin: Option<UnusualOrigin>,
    pub volume_spike: Option<VolumeSpike>,
    pub zombie_use: Option<ZombieUse>,
    /// Findings of which nobody is to be told.
    pub suppress: Vec<Suppression>,
}

impl Params {
    /// The most days and active hours that any detector asks of an identity before it has habits of its own.
    pub fn young(&self) -> (i64, u64) {
        let origin = self.unusual_origin.as_ref();
        let origin = origin.map(|own| (own.history_days_min, own.active_hours_min));
        let act = self.first_operation.as_ref();
        let act = act.map(|own| (own.history_days_min, own.active_hours_min));
        let both = [origin, act].into_iter().flatten();
        both.fold((0, 0), |(days, hours), own| {
            (days.max(own.0), hours.max(own.1))
        })
    }
}

/// What was known before the event that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// What is normal for the machine identity. Empty if this is its first event.
    pub profile: &'a Profile,
    /// What its peers do, as long as it is too young for habits of its own.
    pub peers: Option<&'a PeerGroup>,
    /// The identity whose permissions are used, and the one at the beginning of the chain. What the event itself says of
    /// them is known already, but for who acts.
    pub acting: Option<&'a KnownIdentity>,
    pub origin: Option<&'a KnownIdentity>,
    /// What an inventory says of the machine identity.
    pub facts: Option<&'a Facts>,
    pub credential: Option<&'a KnownCredential>,
    /// Who made the credential, else the acting identity.
    pub maker: Option<&'a KnownIdentity>,
    /// Who came to the event's network for the first time; this event's identity included.
    pub newcomers: &'a [Newcomer],
    /// Whom each of the event's changes is about, in their order.
    pub targets: &'a [Option<Uid>],
}

impl<'a> Before<'a> {
    /// Who made the credential, else the acting identity.
    pub fn made_by(&self) -> Option<&'a Uid> {
        let credential = self.credential.and_then(|known| known.created_by.as_ref());
        credential.or(self.acting.and_then(|known| known.created_by.as_ref()))
    }
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
    /// Earlier uses of the same credential that belong to the situation and said nothing by themselves; those of the day before
    /// are named. What others did (who made the credential) is none: whoever contains the finding would contain them.
    pub earlier: Vec<(Uid, Micros)>,
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
        on(params.fan_out.as_ref(), fan_out::FanOut),
        on(
            params.first_operation.as_ref(),
            first_operation::FirstOperation,
        ),
        on(params.human_use.as_ref(), human_use::HumanUse),
        on(params.leaver.as_ref(), leaver::Leaver),
        on(
            params.new_credential_use.as_ref(),
            new_credential_use::NewCredentialUse,
        ),
        on(params.new_trust.as_ref(), new_trust::NewTrust),
        on(params.off_home.as_ref(), off_home::OffHome),
        on(
            params.privilege_escalation.as_ref(),
            privilege_escalation::PrivilegeEscalation,
        ),
        on(params.reactivated.as_ref(), reactivated::Reactivated),
        on(params.secret_sweep.as_ref(), secret_sweep::SecretSweep),
        on(
            params.shared_credential.as_ref(),
            shared_credential::SharedCredential,
        ),
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

/// Every sweep that is switched on, alphabetically.
pub fn sweeps(params: &Params) -> Vec<Box<dyn Sweep>> {
    fn on<P: Clone, S: Sweep + 'static>(
        params: Option<&P>,
        sweep: impl FnOnce(P) -> S,
    ) -> Option<Box<dyn Sweep>> {
        params.map(|params| -> Box<dyn Sweep> { Box::new(sweep(params.clone())) })
    }
    [
        on(params.dormant.as_ref(), dormant::Dormant),
        on(
            params.dormant_privileged.as_ref(),
            dormant_privileged::DormantPrivileged,
        ),
        on(params.never_used.as_ref(), never_used::NeverUsed),
        on(
            params.overdue_rotation.as_ref(),
            overdue_rotation::OverdueRotation,
        ),
        on(params.unowned.as_ref(), unowned::Unowned),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether an identity is too young to be surprised about: fewer days or active hours than these.
fn learning(before: &Profile, sighting: &Sighting, days_min: i64, hours_min: u64) -> bool {
    before.young(sighting.event_time, (days_min, hours_min))
}

/// The weaker of the attribution's confidence and the detector's own: a finding is no surer than who it is about.
fn no_surer_than(sighting: &Sighting, own: Confidence) -> Confidence {
    sighting.by.confidence.min(own)
}
