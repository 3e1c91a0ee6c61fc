//! Rows of what people stated: nothing of it comes from a log.

use super::rows::RowSet;
use crate::evidence::{ApprovalsRow, AttestationsRow, QueryAuditRow, TriageRow};
use crate::model::{Action, Approval, AskedQuery, Attestation, Statement, Triage, Uid};

impl RowSet {
    /// What somebody decided about a finding, and which values became normal by it.
    pub(super) fn triage(&mut self, statement: &Statement, triage: &Triage, joined: &[String]) {
        let observed: Vec<String> = triage
            .observed
            .iter()
            .map(|observed| format!("{}={}", observed.dimension, observed.value))
            .collect();
        self.triage.push(&TriageRow {
            statement_uid: &statement.uid,
            decided_time: statement.at,
            finding_uid: &triage.finding_uid,
            revision: triage.revision,
            detector: &triage.detector,
            identity_uid: &triage.identity_uid,
            decision: triage.decision.name(),
            reason: &triage.reason,
            author: &statement.author,
            about: triage.about.as_deref(),
            observed: observed.iter().map(String::as_str).collect(),
            joined: joined.iter().map(String::as_str).collect(),
            suppress_until: triage.until,
        });
    }

    /// What was asked through a server.
    pub(super) fn queries(&mut self, statement: &Statement, queries: &[AskedQuery]) {
        for asked in queries {
            self.query_audit.push(&QueryAuditRow {
                statement_uid: &statement.uid,
                asked_time: statement.at,
                author: &asked.user,
                role: &asked.role,
                surface: &asked.surface,
                client: &asked.client,
                application: asked.application.as_deref(),
                as_of_epoch: asked.epoch,
                sql: &asked.sql,
                refused: asked.refused.as_deref(),
            });
        }
    }

    /// What a reviewer decided about `identity`.
    pub(super) fn attestation(
        &mut self,
        statement: &Statement,
        attestation: &Attestation,
        identity: &Uid,
    ) {
        self.attestations.push(&AttestationsRow {
            statement_uid: &statement.uid,
            attested_time: statement.at,
            identity_uid: identity,
            decision: attestation.decision.name(),
            reason: &attestation.reason,
            author: &statement.author,
            until: attestation.until,
        });
    }

    /// A ticket that allows to change `identity`, or the change that it names.
    pub(super) fn approval(
        &mut self,
        statement: &Statement,
        approval: &Approval,
        identity: Option<&Uid>,
    ) {
        self.approvals.push(&ApprovalsRow {
            statement_uid: &statement.uid,
            stated_time: statement.at,
            ticket: &approval.ticket,
            identity_uid: identity.map(AsRef::as_ref),
            event_uid: approval.event_uid.as_deref(),
            action: approval.action.map(Action::name),
            summary: approval.summary.as_deref(),
            approver: &approval.approver,
            approved_time: approval.approved_at,
            valid_from: approval.from,
            valid_until: approval.until,
            author: &statement.author,
        });
    }
}
