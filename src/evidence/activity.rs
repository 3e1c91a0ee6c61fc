//! `activity`: every decoded source event with the identity it is attributed to.

use super::column::{Date, Hash, Int, Long, Optional, Required, Text, TextList, Time, Truth};
use super::table::table;

table! {
    /// One decoded source event, attributed.
    Activity, ActivityRow, "activity", partition_by: ["event_date", "provider"],
    {
        /// When the action happened, by the log's own word.
        event_time: Required<Time>,
        /// The log's id of the event; `raw:` and the start of its SHA-256 where it has none; `id~hash` where another record has that id.
        event_uid: Required<Text>,
        /// UTC day of `event_time`.
        event_date: Required<Date>,
        /// `aws`, `azure` or `entra`.
        provider: Required<Text>,
        /// `cloudtrail`, `azure_activity`, `entra_signin`, `entra_audit`, `graph_activity` or `key_vault`.
        log_source: Required<Text>,
        /// Account, subscription or tenant in whose log the event stands.
        tenant_uid: Optional<Text>,
        /// Region of the endpoint that was called; not where the caller is.
        region: Optional<Text>,
        /// Service that was called, `s3.amazonaws.com`, `microsoft.compute` …
        service: Required<Text>,
        /// Operation without API-version suffix; lower case for ARM.
        operation: Required<Text>,
        /// Whether the log calls it a read.
        read_only: Optional<Truth>,
        /// `success`, `failure` or `unknown`.
        outcome: Required<Text>,
        /// The provider's error code.
        error_code: Optional<Text>,
        /// The provider's error text.
        error_message: Optional<Text>,
        /// One action in two accounts has one: `sharedEventID`, else `event_uid`.
        action_uid: Required<Text>,
        /// Who really acted.
        identity_uid: Required<Text>,
        /// The one machine identity the event is booked on; null for a person, provider or outsider alone.
        nhi_uid: Optional<Text>,
        /// What `identity_uid` is: `iam_user`, `iam_role`, `service_principal` …
        identity_kind: Required<Text>,
        /// `nhi`, `human`, `provider`, `external`, `anonymous` or `unknown`.
        actor_type: Required<Text>,
        /// Whose permissions were used.
        acting_uid: Required<Text>,
        /// What was presented: `aws:key:AKIA…`, `aws:tkey:ASIA…`, `entra:key:…`.
        credential_uid: Optional<Text>,
        /// Kind of that credential.
        credential_kind: Optional<Text>,
        /// Id of the temporary key or token that was used.
        session_uid: Optional<Text>,
        /// Instance, function, task or resource to which the credential was delivered.
        workload_uid: Optional<Text>,
        /// Last node reached over strong hops.
        origin_uid: Required<Text>,
        /// Hops between the origin and the acting identity.
        chain_depth: Required<Int>,
        /// Every identity of the chain, origin first.
        chain: Required<TextList>,
        /// Services that forwarded the call.
        via: Required<TextList>,
        /// How the answer was reached: `direct`, `issued_key`, `delivered`, `session_issuer`, `token`, `service`, `none`.
        attribution_method: Required<Text>,
        /// `exact`, `strong`, `probable`, `declared` or `none`: the weakest hop decides.
        attribution_confidence: Required<Text>,
        /// `final`, `pending`, `ambiguous` or `unattributed`.
        attribution_status: Required<Text>,
        /// Ids of the rules that fired.
        attribution_reasons: Required<TextList>,
        /// Session name or source identity: said by the caller, not proven.
        claimed_origin: Optional<Text>,
        /// Person for whom a client or role acted, where the log names both.
        on_behalf_of: Optional<Text>,
        /// AWS service that made the request for somebody.
        invoked_by: Optional<Text>,
        /// Address of the caller, if the log names one.
        source_ip: Optional<Text>,
        /// The source field as it stands in the log.
        source_raw: Optional<Text>,
        /// `public`, `private`, `provider_service`, `provider_internal` or `unparsed`.
        source_kind: Optional<Text>,
        /// Network that profiles know the source by: /24, /48 or VPC endpoint.
        source_network: Optional<Text>,
        /// Autonomous system of the address; null without a configured database.
        source_asn: Optional<Long>,
        /// Country of the address; null without a configured database.
        source_country: Optional<Text>,
        /// Narrowest range of a provider that holds the address, like `aws/EC2/eu-central-1`; null without configured lists.
        source_range: Optional<Text>,
        /// What the caller calls its client.
        user_agent: Optional<Text>,
        /// First product token of it, `aws-cli`, `Boto3`.
        user_agent_family: Optional<Text>,
        /// TLS version of the request.
        tls_version: Optional<Text>,
        /// VPC endpoint the request came through.
        vpc_endpoint: Optional<Text>,
        /// What was acted on.
        resource_uids: Required<TextList>,
        /// The request as JSON, redacted; null beyond 16 KiB.
        params_json: Optional<Text>,
        /// The provider's request or correlation id; not unique.
        request_uid: Optional<Text>,
        /// `sharedEventID`: the same action as another account's trail tells it.
        shared_event_uid: Optional<Text>,
        /// How the record was read: `repaired`, `time_guessed`, `truncated`, `future`, `late`, `id_derived`, `redacted`, `unknown_version`, `id_conflict`.
        flags: Required<TextList>,
        /// OCSF class: 6003 API Activity, 3002 Authentication, 3001 Account Change.
        class_uid: Required<Int>,
        /// OCSF activity of the class.
        activity_id: Required<Int>,
        /// Topic, or path of the file, that the record was read from.
        src_topic: Required<Text>,
        /// Partition of the topic; 0 for files.
        src_partition: Required<Int>,
        /// Offset of the message; for files, its number in the file.
        src_offset: Required<Long>,
        /// Index of the element in the message.
        src_index: Required<Int>,
        /// What was unwrapped and who decoded it, `gzip>records>cloudtrail`.
        decoder: Required<Text>,
        /// SHA-256 of the record before redaction.
        raw_sha256: Required<Hash>,
    }
}
