//! Work that goes on side by side, with a step that is taken in turn: epochs are decoded and encoded while others are,
//! but the engine sees one after the other, and so does the lake.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A line before one thing: whoever joined it first has the thing first.
#[derive(Debug)]
pub(super) struct Line<T> {
    last: Receiver<T>,
}

/// A place in the line.
#[derive(Debug)]
pub(super) struct Turn<T> {
    before: Receiver<T>,
    after: SyncSender<T>,
}

impl<T> Line<T> {
    /// A line in which nobody stands yet.
    pub(super) fn new(thing: T) -> Self {
        let (sender, last) = sync_channel(1);
        sender.send(thing).expect("the receiver is at hand");
        Self { last }
    }

    /// The place behind all others.
    pub(super) fn join(&mut self) -> Turn<T> {
        let (after, last) = sync_channel(1);
        let before = std::mem::replace(&mut self.last, last);
        Turn { before, after }
    }
}

impl<T> Turn<T> {
    /// Waits for the turn. None if somebody before has left without passing the thing on: then nothing after may
    /// happen either.
    pub(super) fn wait(self) -> Option<(T, Pass<T>)> {
        let thing = self.before.recv().ok()?;
        Some((thing, Pass(self.after)))
    }
}

/// What the thing is passed on with. Dropping it instead ends the line.
#[derive(Debug)]
pub(super) struct Pass<T>(SyncSender<T>);

impl<T> Pass<T> {
    /// Gives the thing to whoever is next.
    pub(super) fn on(self, thing: T) {
        // Nobody may be next, which is no failure of whoever passes.
        drop(self.0.send(thing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_taken_in_the_order_of_joining() {
        let mut line = Line::new(Vec::new());
        let turns: Vec<Turn<Vec<i32>>> = (0..8).map(|_| line.join()).collect();
        std::thread::scope(|scope| {
            for (number, turn) in turns.into_iter().enumerate().rev() {
                scope.spawn(move || {
                    let (mut seen, pass) = turn.wait().unwrap();
                    seen.push(number as i32);
                    pass.on(seen);
                });
            }
        });
        let (seen, _) = line.join().wait().unwrap();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn whoever_leaves_ends_the_line() {
        let mut line = Line::new(());
        let (first, second) = (line.join(), line.join());
        drop(first.wait());
        assert!(second.wait().is_none());
    }
}
