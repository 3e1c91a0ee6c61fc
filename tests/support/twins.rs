//! Workloads that exist in AWS and in Entra, and bystanders who only share their addresses.

use super::callers::{Caller, guid, role_uid, time};
use super::{Estate, GITHUB, Twin, github_uid};

/// Counted-up numbers never come near these, so ids made from them are free.
const TENANT: u64 = 1 << 60;
const BYSTANDER: u64 = 2 << 60;
const BYSTANDER_KEY: u64 = 3 << 60;

/// Roles and repositories of twins begin here; those of chains end before.
const TWIN: u64 = 10_000;

/// Users who stand in no chain begin here.
const BYSTANDER_USER: u64 = 20_000;

/// What differs from sign-in to sign-in of an application.
struct SignIn<'a> {
    object: &'a str,
    app: &'a str,
    managed: bool,
    /// Id of the secret that was presented.
    secret: &'a str,
    /// Id of the federated credential that vouched.
    federated: &'a str,
}

impl Estate {
    /// A service principal or managed identity whose token opens an AWS role: two systems, one object id (X-2).
    pub fn twin_by_token(&mut self, at: u64, number: u64) {
        let tenant = self.tenant();
        let (object, app) = (self.fresh_guid(), self.fresh_guid());
        let secret = self.fresh_guid();
        let managed = number.is_multiple_of(2);
        let account = self.below(self.accounts);
        let role = self.role(account, TWIN + number);
        let own = format!("entra:sp:{tenant}/{object}");
        let mut twin = Twin::default();
        let sign_in = self.sign_in(
            at,
            &SignIn {
                object: &object,
                app: &app,
                managed,
                secret: if managed { "" } else { &secret },
                federated: "",
            },
        );
        let issuer = format!("sts.windows.net/{tenant}/");
        let audience = format!("api://{app}");
        let (session, exchange) = self.web_identity(at + 5, &role, &issuer, &audience, &object);
        let used = self.use_of(at + 60, &Caller::Session(session));
        for event in [sign_in, exchange, used] {
            twin.actors.insert(event, own.clone());
        }
        twin.tied.push((own.clone(), role_uid(&role)));
        twin.names.extend([own, role_uid(&role)]);
        self.twins.push(twin);
    }

    /// A repository of GitHub that an Entra application trusts (X-3) and that assumes an AWS role too (X-4).
    pub fn twin_by_subject(&mut self, at: u64, number: u64) {
        let tenant = self.tenant();
        let (object, app) = (self.fresh_guid(), self.fresh_guid());
        let federated = self.fresh_guid();
        let account = self.below(self.accounts);
        let role = self.role(account, TWIN + number);
        let subject = self.github_subject(TWIN + number);
        let own = github_uid(&subject);
        let principal = format!("entra:sp:{tenant}/{object}");
        self.trust(at, &federated, &subject);
        let sign_in = self.sign_in(
            at + 120,
            &SignIn {
                object: &object,
                app: &app,
                managed: false,
                secret: "",
                federated: &federated,
            },
        );
        let (session, exchange) =
            self.web_identity(at + 130, &role, GITHUB, "sts.amazonaws.com", &subject);
        let used = self.use_of(at + 200, &Caller::Session(session));
        let mut twin = Twin::default();
        for event in [sign_in, exchange, used] {
            twin.actors.insert(event, own.clone());
        }
        twin.tied.push((own.clone(), principal.clone()));
        twin.tied.push((own.clone(), role_uid(&role)));
        twin.names.extend([own, principal, role_uid(&role)]);
        self.twins.push(twin);
    }

    /// One act of bystander `number`: a user of AWS with a key or, of every fifth number, an application with a secret.
    pub fn bystander(&mut self, at: u64, number: u64) {
        if number.is_multiple_of(5) {
            let tenant = self.tenant();
            let object = guid(self.number, BYSTANDER | (number << 1));
            let app = guid(self.number, BYSTANDER | (number << 1) | 1);
            let secret = guid(self.number, BYSTANDER_KEY | number);
            self.bystanders
                .insert(format!("entra:sp:{tenant}/{object}"));
            self.sign_in(
                at,
                &SignIn {
                    object: &object,
                    app: &app,
                    managed: false,
                    secret: &secret,
                    federated: "",
                },
            );
        } else {
            let user = self.user(number % self.accounts, BYSTANDER_USER + number);
            self.bystanders.insert(format!("aws:user:{}", user.id));
            self.use_of(at, &Caller::User(user));
        }
    }

    fn tenant(&self) -> String {
        guid(self.number, TENANT)
    }

    /// A successful sign-in of an application or managed identity (AZ-22, AZ-24), and its id.
    fn sign_in(&mut self, at: u64, sign_in: &SignIn<'_>) -> String {
        let uid = self.fresh_guid();
        let (correlation, api) = (self.fresh_guid(), self.fresh_guid());
        let tenant = self.tenant();
        let SignIn {
            object,
            app,
            secret,
            federated,
            ..
        } = sign_in;
        let time = time(at);
        // The log gives no address for managed identities.
        let (category, address) = if sign_in.managed {
            ("ManagedIdentitySignInLogs", "")
        } else {
            ("ServicePrincipalSignInLogs", self.address())
        };
        let credential = match (secret.is_empty(), federated.is_empty()) {
            (false, _) => "clientSecret",
            (true, false) => "federatedIdentityCredential",
            (true, true) => "none",
        };
        let text = format!(
            r#"{{"time":"{time}","resourceId":"/tenants/{tenant}/providers/Microsoft.aadiam","operationName":"Sign-in activity","operationVersion":"1.0","category":"{category}","tenantId":"{tenant}","resultType":"0","resultSignature":"SUCCESS","durationMs":0,"correlationId":"{correlation}","Level":4,"properties":{{"id":"{uid}","createdDateTime":"{time}","userId":null,"appId":"{app}","ipAddress":"{address}","status":{{"errorCode":0}},"clientCredentialType":"{credential}","resourceId":"{api}","servicePrincipalName":"service","servicePrincipalId":"{object}","servicePrincipalCredentialKeyId":"{secret}","servicePrincipalCredentialThumbprint":"","federatedCredentialId":"{federated}"}}}}"#
        );
        self.write(at, &uid, text, false);
        uid
    }

    /// A person adds a federated credential to an application: from now on its subject can act as the application.
    fn trust(&mut self, at: u64, federated: &str, subject: &str) {
        let uid = format!("Directory_{}", self.fresh_guid());
        let (correlation, application) = (self.fresh_guid(), self.fresh_guid());
        let tenant = self.tenant();
        let person = guid(self.number, TENANT + 1);
        let time = time(at);
        // The new value is a text that holds JSON.
        let value = format!(
            r#"[{{"Name":"main","Issuer":"https://{GITHUB}","Subject":"{subject}","Id":"{federated}","Audiences":["api://AzureADTokenExchange"]}}]"#
        )
        .replace('"', "\\\"");
        let text = format!(
            r#"{{"time":"{time}","resourceId":"/tenants/{tenant}/providers/Microsoft.aadiam","operationName":"Update application","operationVersion":"1.0","category":"AuditLogs","tenantId":"{tenant}","resultSignature":"None","durationMs":0,"correlationId":"{correlation}","Level":4,"properties":{{"id":"{uid}","category":"ApplicationManagement","correlationId":"{correlation}","result":"success","resultReason":"","activityDisplayName":"Update application","activityDateTime":"{time}","loggedByService":"Core Directory","operationType":"Update","initiatedBy":{{"user":{{"id":"{person}","userPrincipalName":"dana@example.org","ipAddress":"192.0.2.70","roles":[]}}}},"targetResources":[{{"id":"{application}","displayName":"Deployer","type":"Application","modifiedProperties":[{{"displayName":"FederatedIdentityCredentials","oldValue":"[]","newValue":"{value}"}}]}}],"additionalDetails":[]}}}}"#
        );
        self.write(at, &uid, text, false);
    }
}
