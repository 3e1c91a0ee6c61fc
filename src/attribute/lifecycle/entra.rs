//! Entra's audit log → changes of applications, service principals, their credentials, roles and trust.
//!
//! The table is that of rule B.5. Who was acted on is seldom the first target: an assignment names the resource first
//! and the one who gains only among the modified properties.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::super::privilege;
use super::values::{Federated, Key, federated, keys, plain};
use super::{
    Action, Change, ChangedCredential, Detail, Target, TrustedSubject, change, guid, member,
    parsed, text,
};
use crate::model::{AuditEvent, CredentialKind};

pub(super) fn changes(event: &AuditEvent<'_>) -> Vec<Change> {
    let activity = normalised(&event.operation);
    let Some(rule) = rule(&activity) else {
        return Vec::new();
    };
    let entry = Entry::of(event);
    match rule {
        Rule::Object(action, kind) => vec![entry.object(action, kind)],
        Rule::Keys(kind) => entry.keys(kind),
        Rule::Application => entry.federated(),
        Rule::ServicePrincipal => entry.switched().into_iter().collect(),
        Rule::Assignment(action) => vec![entry.assignment(action)],
        Rule::Membership(action) => vec![entry.membership(action)],
        Rule::Owner(action) => vec![entry.ownership(action)],
    }
}

/// Federated credentials that were added or now name another issuer or subject.
pub(super) fn trusted_subjects(event: &AuditEvent<'_>) -> Vec<TrustedSubject> {
    let activity = normalised(&event.operation);
    if !matches!(rule(&activity), Some(Rule::Application)) {
        return Vec::new();
    }
    let entry = Entry::of(event);
    let Some(application) = entry.id_of("Application") else {
        return Vec::new();
    };
    let (old, new) = entry.federated_credentials();
    let changed = new.into_iter().filter(|(id, now)| old.get(id) != Some(now));
    let trusted = changed.filter_map(|(credential_id, now)| {
        Some(TrustedSubject {
            credential_id,
            application: application.clone(),
            issuer: now.issuer?,
            // A matching expression stands for a set of subjects; it names none.
            subject: now.subject?,
        })
    });
    trusted.collect()
}

/// What an activity is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// An object of this type begins, ends, is switched on or off. An empty type is the first target's own.
    Object(Action, &'static str),
    /// Keys of an object of this type: which ones, the difference of two lists says.
    Keys(&'static str),
    /// An application changed. Only its federated credentials matter; the rest accompanies other entries.
    Application,
    /// A service principal changed. Only whether it is enabled matters.
    ServicePrincipal,
    /// A permission of a resource goes to, or from, the one whom the modified properties name.
    Assignment(Action),
    /// A role or group gains or loses the first target.
    Membership(Action),
    Owner(Action),
}

fn rule(activity: &str) -> Option<Rule> {
    use Action::{Create, Delete, Disable, Enable, Grant, Revoke};
    Some(match activity {
        "add service principal" => Rule::Object(Create, "ServicePrincipal"),
        "remove service principal" | "hard delete service principal" => {
            Rule::Object(Delete, "ServicePrincipal")
        }
        "restore service principal" => Rule::Object(Enable, "ServicePrincipal"),
        "add application" => Rule::Object(Create, "Application"),
        "delete application" | "hard delete application" => Rule::Object(Delete, "Application"),
        "restore application" => Rule::Object(Enable, "Application"),
        "disable account" => Rule::Object(Disable, ""),
        "enable account" => Rule::Object(Enable, ""),
        "update application - certificates and secrets management"
        | "create application - certificates and secrets management" => Rule::Keys("Application"),
        "add service principal credentials"
        | "remove service principal credentials"
        | "update service principal - certificates and secrets management" => {
            Rule::Keys("ServicePrincipal")
        }
        "update application" => Rule::Application,
        "update service principal" => Rule::ServicePrincipal,
        "add app role assignment to service principal"
        | "add app role assignment grant to user"
        | "add delegated permission grant"
        | "consent to application" => Rule::Assignment(Grant),
        "remove app role assignment from service principal"
        | "remove app role assignment from user"
        | "remove delegated permission grant" => Rule::Assignment(Revoke),
        "add member to role" | "add eligible member to role" | "add member to group" => {
            Rule::Membership(Grant)
        }
        "remove member from role"
        | "remove eligible member from role"
        | "remove member from group" => Rule::Membership(Revoke),
        "add owner to application" | "add owner to service principal" => Rule::Owner(Grant),
        "remove owner from application" | "remove owner from service principal" => {
            Rule::Owner(Revoke)
        }
        _ => return None,
    })
}

/// AZ-40: exports change case, dashes and blanks of an activity's name. Borrowed where nothing is to change.
fn normalised(name: &str) -> Cow<'_, str> {
    let clean = !name.starts_with(' ')
        && !name.ends_with(' ')
        && !name.contains("  ")
        && name
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if clean {
        return Cow::Borrowed(name);
    }
    let name = name.replace(['\u{2013}', '\u{2014}'], "-").to_lowercase();
    let words: Vec<&str> = name.split_whitespace().collect();
    Cow::Owned(words.join(" "))
}

/// The targets of an entry and what it says besides.
#[derive(Debug)]
struct Entry {
    tenant: String,
    targets: Vec<Value>,
    extra: Value,
}

impl Entry {
    fn of(event: &AuditEvent<'_>) -> Self {
        let targets = match parsed(event.details.targets.as_ref()) {
            Value::Array(targets) => targets,
            _ => Vec::new(),
        };
        Self {
            tenant: event.tenant_uid.as_deref().unwrap_or("unknown").to_owned(),
            targets,
            extra: parsed(event.details.extra.as_ref()),
        }
    }

    /// An object begins, ends, is switched on or off.
    fn object(&self, action: Action, kind: &str) -> Change {
        let found = if kind.is_empty() {
            self.targets.first()
        } else {
            self.of_type(kind)
        };
        let mut detail = Detail::default();
        detail.put("name", found.and_then(|target| text(target, "displayName")));
        detail.put(
            "app_id",
            self.new_value("AppPrincipalId")
                .or_else(|| self.new_value("AppId")),
        );
        detail.put(
            "provisioning",
            self.additional("ServicePrincipalProvisioningType"),
        );
        detail.put("owner_tenant", self.additional("AppOwnerOrganizationId"));
        change(action, found.and_then(|target| self.named(target)), detail)
    }

    /// AZ-51: a key of an application belongs to the application, one that was added to a service principal to that.
    fn keys(&self, kind: &str) -> Vec<Change> {
        let Some((old, new)) = self.property("KeyDescription") else {
            return Vec::new();
        };
        let (old, new) = (keys(old), keys(new));
        let target = self.of_type(kind).and_then(|target| self.named(target));
        let removed: Vec<_> = old
            .iter()
            .filter(|(id, _)| !new.contains_key(*id))
            .collect();
        let added: Vec<_> = new
            .iter()
            .filter(|(id, _)| !old.contains_key(*id))
            .collect();
        let replaced = removed.first().map(|(id, _)| format!("entra:key:{id}"));
        let begun = if replaced.is_some() {
            Action::Rotate
        } else {
            Action::Create
        };
        let row = |action: Action, id: &str, key: &Key| {
            let mut detail = Detail::default();
            detail.put("key_type", Some(key.key_type.clone()));
            detail.put("key_usage", key.usage.clone());
            detail.put("name", key.name.clone());
            if action == Action::Rotate {
                detail.put("rotated_from", replaced.clone());
            }
            let mut row = change(action, target.clone(), detail);
            row.credential = Some(ChangedCredential {
                uid: format!("entra:key:{id}"),
                kind: key.kind(),
                // The entry lists no dates.
                expires_at: None,
            });
            row
        };
        let added = added.into_iter().map(|(id, key)| row(begun, id, key));
        let removed = removed
            .into_iter()
            .map(|(id, key)| row(Action::Delete, id, key));
        added.chain(removed).collect()
    }

    /// Federated credentials that an application gained, lost, or that now trust somebody else.
    fn federated(&self) -> Vec<Change> {
        let (old, new) = self.federated_credentials();
        let target = self
            .of_type("Application")
            .and_then(|target| self.named(target));
        let row = |action: Action, id: &str, credential: &Federated| {
            let mut detail = Detail::default();
            detail.put("name", credential.name.clone());
            detail.put("issuer", credential.issuer.clone());
            detail.put("subject", credential.subject.clone());
            detail.put("subject_expression", credential.expression.clone());
            let mut row = change(action, target.clone(), detail);
            row.credential = Some(ChangedCredential {
                uid: format!("entra:fic:{id}"),
                kind: CredentialKind::FederatedCredential,
                expires_at: None,
            });
            row
        };
        let mut rows = Vec::new();
        for (id, now) in &new {
            match old.get(id) {
                None => rows.push(row(Action::Create, id, now)),
                Some(before) if before != now => rows.push(row(Action::TrustChange, id, now)),
                Some(_) => (),
            }
        }
        let gone = old.iter().filter(|(id, _)| !new.contains_key(*id));
        rows.extend(gone.map(|(id, before)| row(Action::Delete, id, before)));
        rows
    }

    /// The federated credentials before and after, by id.
    fn federated_credentials(&self) -> (BTreeMap<String, Federated>, BTreeMap<String, Federated>) {
        self.property("FederatedIdentityCredentials")
            .map(|(old, new)| (federated(old), federated(new)))
            .unwrap_or_default()
    }

    /// A service principal that was switched on or off.
    fn switched(&self) -> Option<Change> {
        let (old, new) = self.property("AccountEnabled")?;
        let enabled = |value: Option<&Value>| match value.map(ToString::to_string) {
            Some(text) if text.contains("true") => Some(true),
            Some(text) if text.contains("false") => Some(false),
            _ => None,
        };
        let action = match (enabled(old), enabled(new)?) {
            (before, now) if before == Some(now) => return None,
            (_, true) => Action::Enable,
            (_, false) => Action::Disable,
        };
        Some(self.object(action, "ServicePrincipal"))
    }

    /// V-78: the first target is the resource whose permission is given. Who gains it stands among the modified
    /// properties; swapped, the resource would seem to have gained a permission of itself.
    fn assignment(&self, action: Action) -> Change {
        let user = self.either("User.ObjectID");
        let client = self.either("ServicePrincipal.ObjectID");
        let resource = self.targets.first();
        let target = match (&user, &client) {
            (Some(user), None) => self.uid("User", user),
            (_, Some(client)) => self.uid("ServicePrincipal", client),
            // Consent names the application that gains as its target.
            (None, None) => resource.and_then(|target| self.named(target)),
        };
        let scopes = self.scopes();
        let app_role = self.either("AppRole.Value");
        let names = app_role.iter().chain(&scopes);
        let privilege = names
            .map(|name| privilege::of_app_role(name))
            .reduce(|most, next| if next.0 > most.0 { next } else { most });
        let mut detail = Detail::default();
        if user.is_some() || client.is_some() {
            detail.put(
                "resource",
                resource.and_then(|target| text(target, "displayName")),
            );
            detail.put(
                "resource_id",
                resource.and_then(|target| text(target, "id")),
            );
        }
        detail.put("name", self.either("ServicePrincipal.DisplayName"));
        detail.put("app_id", self.either("ServicePrincipal.AppId"));
        detail.put("app_role", app_role);
        detail.put(
            "admin_consent",
            self.either("ConsentContext.IsAdminConsent"),
        );
        detail.list("scopes", scopes);
        let mut row = change(action, target, detail);
        row.privilege = privilege;
        row
    }

    /// Delegated permissions, from a grant's own property or from the text that consent writes.
    fn scopes(&self) -> Vec<String> {
        let granted = self.either("DelegatedPermissionGrant.Scope").or_else(|| {
            let consent = self.either("ConsentAction.Permissions")?;
            // `[…] => [[Id: …, Scope: A B, CreatedDateTime: …]]`: what is after the arrow holds.
            let after = consent.rsplit("=>").next()?;
            let (_, scope) = after.split_once("Scope: ")?;
            let end = scope.find([',', ']']).unwrap_or(scope.len());
            Some(scope[..end].to_owned())
        });
        let granted = granted.unwrap_or_default();
        granted.split_whitespace().map(str::to_owned).collect()
    }

    fn membership(&self, action: Action) -> Change {
        let target = self.targets.first();
        let role = self.either("Role.DisplayName");
        let template = self.either("Role.TemplateId");
        let privilege = role
            .as_deref()
            .or(template.as_deref())
            .map(privilege::of_directory_role);
        let mut detail = Detail::default();
        detail.put("group", self.either("Group.DisplayName"));
        detail.put("group_id", self.either("Group.ObjectID"));
        detail.put(
            "name",
            target.and_then(|target| text(target, "displayName")),
        );
        detail.put("role", role);
        detail.put("role_template", template);
        let mut row = change(action, target.and_then(|target| self.named(target)), detail);
        row.privilege = privilege;
        row
    }

    /// The target is what is owned: its owner can add credentials to it and so become it.
    fn ownership(&self, action: Action) -> Change {
        let application = self
            .either("Application.ObjectID")
            .map(|id| ("Application", id));
        let owned = application
            .or_else(|| {
                let id = self.either("ServicePrincipal.ObjectID")?;
                Some(("ServicePrincipal", id))
            })
            .or_else(|| self.id_of("Application").map(|id| ("Application", id)))
            .or_else(|| {
                self.id_of("ServicePrincipal")
                    .map(|id| ("ServicePrincipal", id))
            });
        let owned_id = owned.as_ref().map(|(_, id)| guid(id));
        let owner = self
            .either("Owner.ObjectID")
            .map(|id| guid(&id))
            .or_else(|| {
                let ids = self.targets.iter().filter_map(|target| text(target, "id"));
                ids.map(|id| guid(&id))
                    .find(|id| Some(id) != owned_id.as_ref())
            });
        let mut detail = Detail::default();
        detail.put("owner", owner);
        change(
            action,
            owned.and_then(|(kind, id)| self.uid(kind, &id)),
            detail,
        )
    }

    fn of_type(&self, kind: &str) -> Option<&Value> {
        self.targets.iter().find(|target| {
            text(target, "type").is_some_and(|found| found.eq_ignore_ascii_case(kind))
        })
    }

    fn id_of(&self, kind: &str) -> Option<String> {
        let id = text(self.of_type(kind)?, "id")?;
        Some(guid(&id))
    }

    /// The canonical id of a listed target; groups, roles and policies are no identities.
    fn named(&self, target: &Value) -> Option<Target> {
        self.uid(&text(target, "type")?, &text(target, "id")?)
    }

    fn uid(&self, kind: &str, id: &str) -> Option<Target> {
        let prefix = match kind {
            "ServicePrincipal" => "entra:sp:",
            "Application" => "entra:appobj:",
            "User" => "entra:user:",
            _ => return None,
        };
        Some(Target::Uid(format!("{prefix}{}/{}", self.tenant, guid(id))))
    }

    /// The old and the new value of the modified property called `name`, of whichever target has it.
    fn property(&self, name: &str) -> Option<(Option<&Value>, Option<&Value>)> {
        let lists = self.targets.iter().filter_map(|target| {
            let list = member(target, "modifiedProperties")?;
            list.as_array()
        });
        let property = lists.flatten().find(|property| {
            text(property, "displayName").is_some_and(|found| found.eq_ignore_ascii_case(name))
        })?;
        Some((member(property, "oldValue"), member(property, "newValue")))
    }

    fn new_value(&self, name: &str) -> Option<String> {
        plain(self.property(name)?.1)
    }

    /// The new value, or what was there before: a removal writes only the old one.
    fn either(&self, name: &str) -> Option<String> {
        let (old, new) = self.property(name)?;
        plain(new).or_else(|| plain(old))
    }

    fn additional(&self, key: &str) -> Option<String> {
        let mut pairs = self.extra.as_array()?.iter();
        let pair = pairs
            .find(|pair| text(pair, "key").is_some_and(|found| found.eq_ignore_ascii_case(key)))?;
        text(pair, "value")
    }
}
