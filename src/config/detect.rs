//! Thresholds of the detectors. What each detector asks is written in its file in `src/detect`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::detect;
use crate::model::Micros;

/// The section of one detector: whether it is on, and its thresholds with their defaults.
macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty = $default:expr,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            pub enabled: bool,
            $($(#[$doc])* pub $field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { enabled: true, $($field: $default,)* }
            }
        }

        impl $name {
            fn params(&self) -> Option<detect::$name> {
                self.enabled.then_some(detect::$name { $($field: self.$field,)* })
            }
        }
    };
}

/// Thresholds of the detectors.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Detect {
    pub concurrent_origins: ConcurrentOrigins,
    pub cross_system: CrossSystem,
    pub denied_burst: DeniedBurst,
    pub dormant: Dormant,
    pub dormant_privileged: DormantPrivileged,
    pub evidence_tampering: EvidenceTampering,
    pub fan_out: FanOut,
    pub first_operation: FirstOperation,
    pub human_use: HumanUse,
    pub leaver: Leaver,
    pub never_used: NeverUsed,
    pub new_credential_use: NewCredentialUse,
    pub new_trust: NewTrust,
    pub off_home: OffHome,
    pub overdue_rotation: OverdueRotation,
    pub privilege_escalation: PrivilegeEscalation,
    pub reactivated: Reactivated,
    pub secret_sweep: SecretSweep,
    pub shared_credential: SharedCredential,
    pub stolen_service_role: StolenServiceRole,
    pub unowned: Unowned,
    pub unusual_origin: UnusualOrigin,
    pub volume_spike: VolumeSpike,
    pub zombie_use: ZombieUse,
    /// Sigma rules that run beside the detectors.
    pub sigma: Sigma,
    /// Findings of which nobody is to be told for a while. They are written, and say so.
    #[serde(deserialize_with = "checked")]
    pub suppress: Vec<Suppress>,
}

/// Sigma rules that run beside the detectors; `src/docs/rules.md` says what they can ask.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sigma {
    /// Files, or folders with every `.yml` and `.yaml` below them. A broken rule stops the start; a rule for a log that is
    /// not read is left out.
    pub rules: Vec<PathBuf>,
}

/// A decision that nobody is told of some findings. At least `detector` or `identity` is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suppress {
    /// The detector, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// The identity; with a `*` at its end, all that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What was observed (a network, a tenant, a credential …) or a related id; with a `*` at its end, all that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Who decided it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The first day on which it no longer holds, like `2026-12-31`. Nothing is suppressed for ever.
    pub until: String,
}

impl Suppress {
    /// What the engine takes, or what is wrong.
    fn suppression(&self) -> Result<detect::Suppression, String> {
        let Self {
            detector,
            identity,
            about,
            author,
            reason,
            until,
        } = self;
        if detector.is_none() && identity.is_none() {
            return Err("a suppression names a detector or an identity".to_owned());
        }
        let patterns = [identity, about].into_iter().flatten();
        for pattern in patterns {
            let beginning = pattern.strip_suffix('*').unwrap_or(pattern);
            if beginning.is_empty() || beginning.contains('*') {
                return Err(format!(
                    "{pattern:?} would fit nearly everything, or nothing: write an id, or its beginning and one `*`"
                ));
            }
        }
        if author.trim().is_empty() || reason.trim().is_empty() {
            return Err("a suppression has an author and a reason".to_owned());
        }
        if let Some(name) = detector.as_deref().filter(|name| !known(name)) {
            return Err(format!("there is no detector {name:?}"));
        }
        let date = chrono::NaiveDate::parse_from_str(until, "%Y-%m-%d")
            .map_err(|error| format!("{until:?} is not a day like 2026-12-31: {error}"))?;
        let midnight = date.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc();
        Ok(detect::Suppression {
            detector: detector.clone(),
            identity: identity.clone(),
            about: about.clone(),
            author: author.clone(),
            reason: reason.clone(),
            until: Micros(midnight.timestamp_micros()).day(),
        })
    }
}

/// Suppressions that hold what the engine asks for.
fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Suppress>, D::Error> {
    let all = Vec::<Suppress>::deserialize(deserializer)?;
    for one in &all {
        one.suppression().map_err(D::Error::custom)?;
    }
    Ok(all)
}

/// Whether a detector or sweep has this name.
fn known(name: &str) -> bool {
    let params = Detect::default().params();
    let detectors = detect::detectors(&params);
    let sweeps = detect::sweeps(&params);
    detectors.iter().any(|detector| detector.name() == name)
        || sweeps.iter().any(|sweep| sweep.name() == name)
        || name == detect::rules::NAME
}

impl Detect {
    /// What the detectors are made from.
    pub fn params(&self) -> detect::Params {
        detect::Params {
            concurrent_origins: self.concurrent_origins.params(),
            cross_system: self.cross_system.params(),
            denied_burst: self.denied_burst.params(),
            dormant: self.dormant.params(),
            dormant_privileged: self.dormant_privileged.params(),
            evidence_tampering: self.evidence_tampering.params(),
            fan_out: self.fan_out.params(),
            first_operation: self.first_operation.params(),
            human_use: self.human_use.params(),
            leaver: self.leaver.params(),
            never_used: self.never_used.params(),
            new_credential_use: self.new_credential_use.params(),
            new_trust: self.new_trust.params(),
            off_home: self.off_home.params(),
            overdue_rotation: self.overdue_rotation.params(),
            privilege_escalation: self.privilege_escalation.params(),
            reactivated: self.reactivated.params(),
            secret_sweep: self.secret_sweep.params(),
            shared_credential: self.shared_credential.params(),
            stolen_service_role: self.stolen_service_role.params(),
            unowned: self.unowned.params(),
            unusual_origin: self.unusual_origin.params(),
            volume_spike: self.volume_spike.params(),
            zombie_use: self.zombie_use.params(),
            suppress: self
                .suppress
                .iter()
                .filter_map(|one| one.suppression().ok())
                .collect(),
        }
    }
}

section! {
    /// One credential is used from two networks at once that were never seen together.
    ConcurrentOrigins {
        /// An identity younger than this many days is not judged.
        history_days_min: i64 = 14,
        /// Nor is one with fewer distinct active hours.
        active_hours_min: u64 = 50,
        /// Bits of surprise at which two networks at once are a finding.
        bits_min: u32 = 7,
    }
}

section! {
    /// An identity acts in an account, subscription or cloud in which it never acted.
    CrossSystem {
        /// An identity younger than this many days is not judged.
        history_days_min: i64 = 14,
        /// Nor is one with fewer distinct active hours.
        active_hours_min: u64 = 50,
        /// Bits of surprise at which a new tenant is a finding.
        bits_min: u32 = 6,
    }
}

section! {
    /// An identity is refused many different operations within ten minutes.
    DeniedBurst {
        /// Refusals within ten minutes.
        denials_min: usize = 10,
        /// Different operations among them.
        operations_min: usize = 5,
        /// In so many hours before as much makes it a habit.
        usual_hours: u64 = 3,
    }
}

section! {
    /// A machine identity that was used is not used any more.
    Dormant {
        /// Days without use after which it is told …
        warn_days: i64 = 45,
        /// … and told again, as dormant …
        window_days: i64 = 90,
        /// … and as stale.
        stale_days: i64 = 180,
    }
}

section! {
    /// A machine identity that can do much is not used any more.
    DormantPrivileged {
        /// Days without use after which it is told …
        warn_days: i64 = 45,
        /// … and told again, as dormant …
        window_days: i64 = 90,
        /// … and as stale.
        stale_days: i64 = 180,
    }
}

section! {
    /// An identity stops or blinds a log, or what watches it.
    EvidenceTampering {
        /// On so many days the same operation is a habit.
        habit_days: u32 = 3,
    }
}

section! {
    /// From one network come several identities that were never seen there.
    FanOut {
        /// Identities that are new there …
        identities_min: usize = 3,
        /// … within so many hours …
        hours: i64 = 24,
        /// … of so many tenants.
        tenants_min: usize = 2,
        /// So many that came earlier make it a shared way out.
        residents_max: usize = 3,
    }
}

section! {
    /// An identity with steady habits calls a service or operation that it never called.
    FirstOperation {
        /// An identity younger than this many days is learning: it is held against its peers.
        history_days_min: i64 = 14,
        /// So is one with fewer distinct active hours.
        active_hours_min: u64 = 50,
        /// Bits at which a new act alone is a finding.
        bits_min: u32 = 10,
        /// Bits that are enough for a sensitive operation, or together with a second surprise.
        bits_min_joint: u32 = 7,
        /// Bits that make the new network a second surprise.
        bits_second_group: u32 = 5,
    }
}

section! {
    /// A person works with the identity of a machine.
    HumanUse {
        /// An identity younger than this many days is not judged.
        history_days_min: i64 = 14,
        /// Nor is one with fewer distinct active hours.
        active_hours_min: u64 = 50,
    }
}

section! {
    /// An identity is used for the first time after its maker left.
    Leaver {
        /// A first use later than so many days after the leaving is not led back to it.
        days_max: i64 = 400,
    }
}

section! {
    /// A machine identity was made and never used.
    NeverUsed {
        /// Days since it was made after which it is told.
        days_min: i64 = 30,
    }
}

section! {
    /// A new credential is first used from where its identity never was.
    NewCredentialUse {
        /// A first use later than this many hours after the credential was made is not judged.
        hours_max: i64 = 24,
        /// An identity younger than this many days has no network of its own.
        history_days_min: i64 = 14,
    }
}

section! {
    /// An identity is used by somebody whom a change of its trust let in.
    NewTrust {
        /// A first use later than so many hours after the change is not led back to it.
        hours_max: i64 = 168,
        /// An identity that is known for fewer days is being set up.
        history_days_min: i64 = 14,
    }
}

section! {
    /// A credential that was handed to a workload is used from where that workload is not.
    OffHome {
        /// So many events from a network make it the home of a workload.
        home_events_min: u64 = 3,
        /// A home that was not used for so many hours is not held against another network.
        home_age_hours_max: i64 = 24,
        /// With a client that it knows, an identity younger than this many days is not judged …
        history_days_min: i64 = 14,
        /// … nor is one with fewer distinct active hours …
        active_hours_min: u64 = 50,
        /// … and the network must be worth as many bits of surprise.
        bits_min: u32 = 6,
    }
}

section! {
    /// A credential is older than its identity's privilege allows.
    OverdueRotation {
        /// Days that a credential of an identity that can give itself everything (tier 3) may live.
        days_tier_3: i64 = 30,
        /// Days for identities that can read secrets, let data out or blind a log (tier 2).
        days_tier_2: i64 = 90,
        /// Days for all others.
        days: i64 = 180,
    }
}

section! {
    /// An identity gives itself more privilege, or becomes one that it made.
    PrivilegeEscalation {
        /// Privilege tier that must be granted, 1 to 3.
        tier_min: u8 = 3,
        /// An identity made longer ago, in days, is not held against its maker.
        made_days_max: i64 = 7,
    }
}

section! {
    /// An identity or credential is used after a sleep far longer than any before.
    Reactivated {
        /// No shorter sleep is worth a finding, in days.
        gap_days_min: i64 = 30,
        /// The sleep must be this many times as long as the longest earlier one.
        gap_factor: i64 = 4,
        /// With fewer distinct days of use there is no habit yet …
        active_days_min: u32 = 3,
        /// … and the sleep must have lasted at least this many days.
        gap_days_min_young: i64 = 90,
    }
}

section! {
    /// An identity reads secrets from many services or regions within an hour.
    SecretSweep {
        /// Different services and regions.
        places_min: usize = 3,
        /// So many of an identity that is young …
        places_min_young: usize = 6,
        /// … because it is known for fewer days than this.
        history_days_min: i64 = 14,
        /// Secrets read in them.
        reads_min: usize = 5,
        /// In so many hours before as much makes it a habit.
        usual_hours: u64 = 3,
    }
}

section! {
    /// One long-lived credential works for several programs in different places.
    SharedCredential {
        /// Workloads, each in a network of its own …
        workloads_min: usize = 3,
        /// … with so many different clients …
        clients_min: usize = 2,
        /// … each seen on so many days …
        days_min: u32 = 3,
        /// … and the last time no more than so many days ago.
        idle_days_max: i32 = 2,
    }
}

section! {
    /// A role that was always assumed by services is assumed by somebody else.
    StolenServiceRole {
        /// A role that is known for fewer days is not judged.
        history_days_min: i64 = 14,
    }
}

section! {
    /// A machine identity has no owner in the inventory. Nothing is told while there is no inventory.
    Unowned {
        /// Days for which an identity is known before it is told.
        days_min: i64 = 7,
    }
}

section! {
    /// An identity with steady habits acts from a network it never used.
    UnusualOrigin {
        /// An identity younger than this many days is learning: it is held against its peers.
        history_days_min: i64 = 14,
        /// So is one with fewer distinct active hours.
        active_hours_min: u64 = 50,
        /// Bits of surprise at which a new network alone is a finding.
        bits_min: u32 = 10,
        /// Bits that are enough together with a sensitive operation or a second surprise.
        bits_min_joint: u32 = 7,
        /// Bits that make the act a second surprise.
        bits_second_group: u32 = 5,
    }
}

section! {
    /// An identity does many times as much in an hour as it ever did.
    VolumeSpike {
        /// An identity younger than this many days is not judged.
        history_days_min: i64 = 14,
        /// Nor is one with fewer distinct active hours.
        active_hours_min: u64 = 50,
        /// No hour with fewer events is a spike.
        events_min: u32 = 500,
        /// It has more than this many times the events of its time of day …
        usual_factor: u32 = 8,
        /// … and more than this many times those of its busiest hour.
        busiest_factor: u32 = 3,
    }
}

section! {
    /// A credential or identity is used after it was disabled or deleted.
    ZombieUse {
        /// Uses within so many minutes after the end are not judged: the cloud takes its time.
        grace_minutes: i64 = 10,
    }
}
