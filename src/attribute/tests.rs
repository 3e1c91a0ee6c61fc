//! Lineage through issued keys, in every order in which the log can tell it.

use std::borrow::Cow;

use super::{Answer, Attributor, Params};
use crate::model::{
    ActorType, AuditEvent, AwsPrincipal, Details, Flags, Issued, LogSource, Micros, Network,
    Outcome, Principal, PrincipalType, SessionIssuer, Status,
};

const T0: Micros = Micros(1_785_542_400_000_000);

fn params() -> Params {
    Params {
        session_memory: Micros::DAY,
        sessions_max: 100,
        pending_max: 100,
    }
}

pub(super) fn text(text: &str) -> Option<Cow<'static, str>> {
    Some(Cow::Owned(text.to_owned()))
}

/// An event of which only source, tenant, operation and caller are told.
pub(super) fn event_of(
    source: LogSource,
    tenant: &str,
    (service, operation): (&str, &str),
    principal: Principal<'static>,
) -> AuditEvent<'static> {
    AuditEvent {
        source,
        event_uid: Cow::Borrowed("e1"),
        action_uid: Cow::Borrowed("e1"),
        shared_event_uid: None,
        request_uid: None,
        event_time: T0,
        tenant_uid: text(tenant),
        region: None,
        service: Cow::Owned(service.to_owned()),
        operation: Cow::Owned(operation.to_owned()),
        read_only: None,
        outcome: Outcome::Success,
        error_code: None,
        error_message: None,
        principal,
        network: Network::default(),
        resources: Vec::new(),
        params_json: None,
        issued: None,
        details: Details::default(),
        addendum: None,
        flags: Flags::none(),
    }
}

fn event(
    uid: &str,
    second: i64,
    operation: &str,
    principal: AwsPrincipal<'static>,
) -> AuditEvent<'static> {
    let call = ("sts.amazonaws.com", operation);
    let principal = Principal::Aws(principal);
    AuditEvent {
        event_uid: Cow::Owned(uid.to_owned()),
        action_uid: Cow::Owned(uid.to_owned()),
        event_time: T0.plus(second * Micros::SECOND),
        ..event_of(LogSource::CloudTrail, "111122223333", call, principal)
    }
}

fn user() -> AwsPrincipal<'static> {
    AwsPrincipal {
        principal_type: PrincipalType::IamUser,
        principal_id: text("AIDAUSER"),
        access_key_id: text("AKIAUSER"),
        ..AwsPrincipal::default()
    }
}

/// A session of `role` with `key` that began at `second`.
fn session(role: &str, key: &str, second: i64) -> AwsPrincipal<'static> {
    AwsPrincipal {
        principal_type: PrincipalType::AssumedRole,
        principal_id: text(&format!("{role}:name")),
        access_key_id: text(key),
        issuer: Some(SessionIssuer {
            principal_id: text(role),
            ..SessionIssuer::default()
        }),
        session_created_at: Some(T0.plus(second * Micros::SECOND)),
        ..AwsPrincipal::default()
    }
}

/// `principal` assumes `role` at `second` and gets `key`.
fn assume(
    uid: &str,
    second: i64,
    principal: AwsPrincipal<'static>,
    role: &str,
    key: &str,
) -> AuditEvent<'static> {
    let mut event = event(uid, second, "AssumeRole", principal);
    event.issued = Some(Issued {
        key_id: text(key),
        session_principal_id: text(&format!("{role}:name")),
        ..Issued::default()
    });
    event
}

/// The last word on every event, by its id.
fn last_words(events: &[AuditEvent<'_>]) -> Vec<(String, String, Vec<String>, Status)> {
    let mut attributor = Attributor::new(params());
    let mut words = std::collections::BTreeMap::new();
    for event in events {
        let Answer {
            attribution, news, ..
        } = attributor.attribute(event);
        let chain = attribution.chain.iter().map(ToString::to_string).collect();
        let word = (
            attribution.identity_uid.to_string(),
            chain,
            attribution.status,
        );
        words.insert(event.event_uid.to_string(), word);
        for amendment in news.amendments {
            let by = amendment.word;
            let chain = by.chain.iter().map(ToString::to_string).collect();
            let word = (by.identity_uid.to_string(), chain, by.status);
            words.insert(amendment.event_uid.to_string(), word);
        }
    }
    words
        .into_iter()
        .map(|(uid, (identity, chain, status))| (uid, identity, chain, status))
        .collect()
}

#[test]
fn a_chain_of_two_roles_leads_to_the_user_in_every_order() {
    let first = || assume("e1", 0, user(), "AROAONE", "ASIAONE");
    let second = || {
        assume(
            "e2",
            10,
            session("AROAONE", "ASIAONE", 0),
            "AROATWO",
            "ASIATWO",
        )
    };
    let used = || event("e3", 20, "ListBuckets", session("AROATWO", "ASIATWO", 10));
    let expected = last_words(&[first(), second(), used()]);
    let chain = ["aws:user:AIDAUSER", "aws:role:AROAONE", "aws:role:AROATWO"];
    assert_eq!(expected[2].1, "aws:user:AIDAUSER");
    assert_eq!(expected[2].2, chain);
    assert!(expected.iter().all(|word| word.3 == Status::Final));
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let all = [first(), second(), used()];
        let events: Vec<_> = order.iter().map(|index| all[*index].clone()).collect();
        assert_eq!(last_words(&events), expected, "{order:?}");
    }
}

#[test]
fn the_called_accounts_copy_never_hides_who_called() {
    let own = || assume("own", 0, user(), "AROAFAR", "ASIAFAR");
    let copy = || {
        let caller = AwsPrincipal {
            principal_type: PrincipalType::AwsAccount,
            principal_id: text("AIDAUSER"),
            account_id: text("111122223333"),
            ..AwsPrincipal::default()
        };
        assume("copy", 0, caller, "AROAFAR", "ASIAFAR")
    };
    let used = || event("use", 5, "ListBuckets", session("AROAFAR", "ASIAFAR", 0));
    for events in [
        [own(), copy(), used()],
        [copy(), own(), used()],
        [copy(), used(), own()],
        [used(), copy(), own()],
    ] {
        let words = last_words(&events);
        let (_, identity, chain, status) = words.iter().find(|word| word.0 == "use").unwrap();
        assert_eq!(identity, "aws:user:AIDAUSER");
        assert_eq!(chain, &["aws:user:AIDAUSER", "aws:role:AROAFAR"]);
        assert_eq!(*status, Status::Final);
    }
}

#[test]
fn a_key_of_another_role_is_not_joined() {
    let words = last_words(&[
        assume("e1", 0, user(), "AROAONE", "ASIAONE"),
        event("e2", 5, "ListBuckets", session("AROAOTHER", "ASIAONE", 0)),
        event("e3", 5, "ListBuckets", session("AROAONE", "ASIAONE", 3_600)),
    ]);
    assert_eq!(words[1].1, "aws:role:AROAOTHER");
    assert_eq!(
        words[2].1, "aws:role:AROAONE",
        "another start is another session"
    );
}

#[test]
fn what_is_never_explained_is_settled_and_says_so() {
    let mut attributor = Attributor::new(params());
    let used = event("e1", 0, "ListBuckets", session("AROAONE", "ASIAONE", 0));
    assert_eq!(
        attributor.attribute(&used).attribution.status,
        Status::Pending
    );
    let settled = attributor.settle(T0.plus(Micros::HOUR), T0).amendments;
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0].word.status, Status::Unattributed);
    assert!(settled[0].word.rests_on("LIN-13"));
    let again = attributor.settle(Micros::MAX, T0).amendments;
    assert!(again.is_empty(), "once");
}

#[test]
fn too_many_waiting_events_are_settled_early_and_counted() {
    let mut attributor = Attributor::new(Params {
        pending_max: 2,
        ..params()
    });
    let mut settled = 0;
    for second in 0..5 {
        let key = format!("ASIA{second}");
        let used = event(
            &key,
            second,
            "ListBuckets",
            session("AROAONE", &key, second),
        );
        settled += attributor.attribute(&used).news.amendments.len();
    }
    assert_eq!((settled, attributor.evicted()), (3, 3));
    assert_eq!(attributor.sizes(), (0, 2));
}

#[test]
fn a_second_factor_makes_the_users_session_a_persons() {
    let mut attributor = Attributor::new(params());
    attributor.attribute(&assume("e1", 0, user(), "AROAONE", "ASIAONE"));
    let with_factor = AwsPrincipal {
        mfa: Some(true),
        ..session("AROAONE", "ASIAONE", 0)
    };
    let answer = attributor.attribute(&event("e2", 5, "ListBuckets", with_factor));
    assert_eq!(answer.attribution.actor_type, ActorType::Human);
    assert_eq!(
        answer.attribution.nhi_uid.as_deref(),
        Some("aws:role:AROAONE")
    );
}

#[test]
fn a_key_without_its_session_is_taught_by_another_record_in_every_order() {
    // LIN-6: the console shows another key than the one that was issued, and one record does not show the session.
    let alone = || AwsPrincipal {
        session_created_at: None,
        ..session("AROAONE", "ASIASHOWN", 0)
    };
    let all = [
        assume("e1", 0, user(), "AROAONE", "ASIAISSUED"),
        event("e2", 9, "ListBuckets", session("AROAONE", "ASIASHOWN", 0)),
        event("e3", 5, "ListBuckets", alone()),
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut attributor = Attributor::new(params());
        let mut last = None;
        for index in order {
            // What is taught survives a restart.
            let written = attributor.written(true);
            attributor = Attributor::new(params());
            attributor.restore(written);
            let answer = attributor.attribute(&all[index]);
            let own = (&*answer.event_uid == "e3").then_some(answer.attribution);
            let amended = answer.news.amendments.into_iter();
            let amended = amended.filter(|amendment| &*amendment.event_uid == "e3");
            last = own
                .into_iter()
                .chain(amended.map(|one| one.word))
                .last()
                .or(last);
        }
        let word = last.unwrap();
        assert_eq!(&*word.identity_uid, "aws:user:AIDAUSER", "{order:?}");
        assert_eq!(word.session_uid.as_deref(), Some("ASIAISSUED"), "{order:?}");
        assert!(
            word.rests_on("LIN-6") && word.status == Status::Final,
            "{order:?}"
        );
    }
}
