//! A wire that does what wires do: it is slow, breaks off in the middle of an answer, and flips bits.
//!
//! It stands between a client and one broker. Kafka's answers name the broker's port; it puts its own there, so that the
//! client stays on it. Answers are passed on frame by frame; what the client says passes unchanged.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What the wire does; may be changed while it is in use.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Each answer comes so many milliseconds later.
    pub(crate) delay_ms: AtomicU64,
    /// At most so many bytes a second; 0 for no limit.
    pub(crate) bytes_per_second: AtomicU64,
    /// So many answers more break off in the middle, with the connection.
    pub(crate) breaks: AtomicUsize,
    /// So many large answers more have one bit flipped.
    pub(crate) flips: AtomicUsize,
    /// How many answers were broken off or changed.
    pub(crate) done: AtomicUsize,
}

/// An answer of so many bytes holds records.
const LARGE: usize = 4_096;

pub(crate) struct Proxy {
    port: u16,
    pub(crate) faults: Arc<Faults>,
    quit: Arc<AtomicBool>,
}

impl Proxy {
    /// A wire to the broker at `target`, `127.0.0.1:port`.
    pub(crate) fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target: u16 = target.rsplit(':').next().unwrap().parse().unwrap();
        let faults = Arc::new(Faults::default());
        let quit = Arc::new(AtomicBool::new(false));
        let (shared, ended) = (faults.clone(), quit.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(broker) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let (asking, asked) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                std::thread::spawn(move || copy(asking, asked));
                let faults = shared.clone();
                std::thread::spawn(move || answer(broker, client, (target, port), &faults));
            }
        });
        Self { port, faults, quit }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::SeqCst);
        // The listener looks up when somebody comes.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    drop(std::io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Both));
}

fn answer(mut broker: TcpStream, mut client: TcpStream, ports: (u16, u16), faults: &Faults) {
    while let Some(mut frame) = read_frame(&mut broker) {
        replace_port(&mut frame, ports);
        std::thread::sleep(Duration::from_millis(
            faults.delay_ms.load(Ordering::SeqCst),
        ));
        if frame.len() > LARGE && one_of(&faults.flips) {
            let at = frame.len() * 3 / 4;
            frame[at] ^= 0x10;
            faults.done.fetch_add(1, Ordering::SeqCst);
        }
        if frame.len() > LARGE && one_of(&faults.breaks) {
            frame.truncate(frame.len() / 2);
            drop(client.write_all(&frame));
            faults.done.fetch_add(1, Ordering::SeqCst);
            break;
        }
        let rate = faults.bytes_per_second.load(Ordering::SeqCst);
        for part in frame.chunks(8_192) {
            if let Some(micros) = (part.len() as u64 * 1_000_000).checked_div(rate) {
                std::thread::sleep(Duration::from_micros(micros));
            }
            if client.write_all(part).is_err() {
                return;
            }
        }
    }
    drop(client.shutdown(Shutdown::Both));
    drop(broker.shutdown(Shutdown::Both));
}

/// Takes one of what is left, if any is.
fn one_of(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

/// An answer with its length before it.
fn read_frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let size = u32::from_be_bytes(length) as usize;
    let mut frame = length.to_vec();
    frame.resize(4 + size, 0);
    from.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

/// Puts the proxy's port where the broker names its own, behind its address.
fn replace_port(frame: &mut [u8], (target, own): (u16, u16)) {
    let mut wanted = b"127.0.0.1".to_vec();
    let address = wanted.len();
    wanted.extend(u32::from(target).to_be_bytes());
    let mut at = 0;
    while let Some(found) = frame[at..]
        .windows(wanted.len())
        .position(|window| window == wanted)
    {
        let port = at + found + address;
        frame[port..port + 4].copy_from_slice(&u32::from(own).to_be_bytes());
        at = port + 4;
    }
}
