//! A made-up estate that keeps logs: accounts, tenants, people and machine identities over months, with a label for
//! every event that says who really acted, with attacks that are known from the start, and with what looks like an
//! attack and is none.
//!
//! It is a function of its parameters: the same seed gives the same bytes. It holds one hour at a time, so its length
//! costs no memory. It does not write files and knows no pipeline, and it imports nothing of the code that reads logs:
//! what it says must not come from what it tests.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod aws;
mod azure;
mod calendar;
mod cast;
mod deliver;
mod entra;
mod estate;
mod names;
mod operations;
mod random;
mod schedule;
mod stories;
mod text;
mod trail;

use crate::model::Micros;
use deliver::Delivery;
use estate::{Body, Estate};
use random::Random;
use schedule::{Doer, Plan, Run};
use stories::Script;

/// Where messages go, by their place in [`Totals`].
///
/// Objects of a bucket (`{"Records":[…]}`), single events in an EventBridge envelope, and two Event Hubs
/// (`{"records":[…]}`) of which one carries Azure activity and one everything of Entra.
pub const TOPICS: [&str; 4] = [
    "cloudtrail-s3",
    "cloudtrail-eventbridge",
    "azure-eventhub",
    "entra-eventhub",
];

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Params {
    pub seed: u64,
    /// Machine identities and people. Below 10 there are neither stories nor traps, below 100 only the first of them.
    pub identities: u32,
    pub days: u32,
    /// Midnight at which the first day begins.
    pub start: Micros,
    /// About how many events come over all days; without it 24 for each identity and day. The cast of the stories
    /// keeps its habits whatever this says, and nobody acts less often than every three weeks.
    pub events_max: Option<u64>,
    /// How many of a thousand records come some minutes behind their neighbours, never more than 15.
    pub late_per_mille: u32,
    /// How many of a thousand records come a second time in another message.
    pub duplicate_per_mille: u32,
    pub records_per_object: u32,
}

/// One message as a broker would hold it.
#[derive(Clone, Debug)]
pub struct Message {
    /// One of [`TOPICS`].
    pub topic: &'static str,
    pub key: Option<String>,
    /// Simulated time of delivery.
    pub time: Micros,
    pub payload: Vec<u8>,
    /// How many records are in it.
    pub elements: u32,
}

/// What is true about one event, whether or not the log says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// `eventID`, the sign-in's or audit row's `id`, Graph's `requestId`; for Azure activity, whose rows have no id of
    /// their own, the `correlationId`, which no two rows share.
    pub event_uid: String,
    /// Who really acted. For a role that a compute service hands out this is the role, also in the row in which it is
    /// handed out, although that row names the role only by its ARN.
    pub identity_uid: String,
    /// The machine identity the event is booked on; none for a person acting as such and for the provider's own code.
    pub nhi_uid: Option<String>,
    /// Whose permissions were used.
    pub acting_uid: String,
    /// The story to which the event belongs.
    pub story: Option<&'static str>,
}

/// An attack that is in the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    pub name: &'static str,
    /// The detector that should find it.
    pub detector: &'static str,
    pub identity_uid: String,
    pub first_event_uid: String,
    pub description: String,
}

/// What has been made so far. `distinct + duplicates == elements`, and `per_topic` adds up to `elements`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records, counting second copies.
    pub elements: u64,
    /// Records with an id of their own.
    pub distinct: u64,
    /// Second copies.
    pub duplicates: u64,
    /// Records that come behind their neighbours.
    pub late: u64,
    /// Records by topic, in the order of [`TOPICS`].
    pub per_topic: [u64; 4],
    /// Messages handed out, by topic.
    pub messages: [u64; 4],
}

/// One step: what is delivered in an hour, and labels of what happened in it.
///
/// The label of an event may come a step before its record. Messages are in order of delivery, across steps too.
#[derive(Clone, Debug)]
pub struct Batch {
    pub messages: Vec<Message>,
    pub labels: Vec<Label>,
}

impl Batch {
    /// Identities that have a hand in a story in this hour.
    pub fn involved(&self) -> impl Iterator<Item = &String> {
        let told = self.labels.iter().filter(|label| label.story.is_some());
        told.flat_map(|label| [&label.identity_uid, &label.acting_uid])
    }
}

/// A running simulation: an iterator of hours.
#[derive(Debug)]
pub struct Simulation {
    params: Params,
    estate: Estate,
    plans: Vec<Plan>,
    scripts: Vec<Script>,
    stories: Vec<Story>,
    random: Random,
    delivery: Delivery,
    /// The runs of the current day, by hour.
    today: Vec<Vec<Run>>,
    /// The next hour, counted from the start.
    hour: u32,
    flushed: bool,
}

/// What the writers of records work with.
struct Stage<'a> {
    estate: &'a Estate,
    random: &'a mut Random,
    delivery: &'a mut Delivery,
    labels: &'a mut Vec<Label>,
    /// The record being written; one allocation serves all.
    record: String,
}

/// Who is behind a record, as its label says.
#[derive(Clone, Debug)]
struct Who {
    identity: String,
    nhi: Option<String>,
    acting: String,
    story: Option<&'static str>,
}

impl Simulation {
    /// Decides who exists, what they do all day, and what will happen to whom.
    pub fn new(params: Params) -> Self {
        let mut random = Random::new(params.seed, 1);
        let mut estate = Estate::new(&params, &mut random);
        stories::traps::change(&mut estate, &params, &mut random);
        let plans = schedule::plans(&estate, &params, &mut Random::new(params.seed, 2));
        let scripts = stories::scripts(&estate, &params, &mut Random::new(params.seed, 3));
        let stories = scripts.iter().filter_map(|script| script.story.clone());
        let stories = stories.collect();
        Self {
            random: Random::new(params.seed, 4),
            delivery: Delivery::new(&params),
            params,
            estate,
            plans,
            scripts,
            stories,
            today: Vec::new(),
            hour: 0,
            flushed: false,
        }
    }

    /// The attacks that are planted: known before the first event.
    pub fn stories(&self) -> &[Story] {
        &self.stories
    }

    /// Counts of everything made so far.
    pub fn totals(&self) -> Totals {
        self.delivery.totals()
    }

    /// The runs of the day that `hour` begins, and the stories that happen on it.
    fn plan_day(&mut self) {
        let day = self.hour / 24;
        let first = self.params.start.day();
        self.today = schedule::runs(&self.plans, first, day, &mut self.random);
        for (script, of) in self.scripts.iter().enumerate() {
            for (scene, when) in of.scenes.iter().enumerate() {
                if when.day == day {
                    self.today[when.hour].push(Run {
                        doer: Doer::Scene(script, scene),
                        second: stories::SECOND,
                        events: when.events,
                    });
                }
            }
        }
    }

    /// Lets everybody act who acts in the current hour, which begins at `begin`.
    fn act(&mut self, begin: Micros) -> Vec<Label> {
        let runs = std::mem::take(&mut self.today[(self.hour % 24) as usize]);
        let mut labels = Vec::new();
        let mut stage = Stage {
            estate: &self.estate,
            random: &mut self.random,
            delivery: &mut self.delivery,
            labels: &mut labels,
            record: String::new(),
        };
        if self.hour == 0 {
            entra::trust_workflows(&mut stage, begin);
        }
        for run in &runs {
            match run.doer {
                Doer::Scene(script, scene) => {
                    let script = &self.scripts[script];
                    stories::play(&mut stage, script, scene, run, begin);
                }
                Doer::Actor(index) => {
                    let actor = &self.estate.actors[index];
                    match actor.body_at(begin) {
                        Body::Aws(body) => aws::act(&mut stage, actor, body, run, begin),
                        Body::Entra(body) => azure::act(&mut stage, actor, body, run, begin),
                    }
                }
            }
        }
        labels
    }
}

impl Iterator for Simulation {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.hour >= self.params.days.saturating_mul(24) {
            if self.flushed {
                return None;
            }
            self.flushed = true;
            return Some(Batch {
                messages: self.delivery.take(Micros::MAX, &self.estate),
                labels: Vec::new(),
            });
        }
        if self.hour.is_multiple_of(24) {
            self.plan_day();
        }
        let begin = self.params.start.plus(i64::from(self.hour) * Micros::HOUR);
        let labels = self.act(begin);
        self.hour += 1;
        let messages = self.delivery.take(begin.plus(Micros::HOUR), &self.estate);
        Some(Batch { messages, labels })
    }
}

impl Who {
    /// A machine identity that acts as itself.
    fn machine(uid: &str) -> Self {
        Self {
            nhi: Some(uid.to_owned()),
            ..Self::other(uid)
        }
    }

    /// A person, or a provider's own code, that acts as itself.
    fn other(uid: &str) -> Self {
        Self {
            identity: uid.to_owned(),
            nhi: None,
            acting: uid.to_owned(),
            story: None,
        }
    }
}

impl Stage<'_> {
    /// The record's buffer, empty; whoever takes it puts it back.
    fn buffer(&mut self) -> String {
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        record
    }

    /// Notes who is behind the event `event_uid`.
    fn label(&mut self, event_uid: String, who: &Who) {
        self.labels.push(Label {
            event_uid,
            identity_uid: who.identity.clone(),
            nhi_uid: who.nhi.clone(),
            acting_uid: who.acting.clone(),
            story: who.story,
        });
    }
}

#[cfg(test)]
mod tests;
