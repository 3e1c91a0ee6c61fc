//! An object store that does what object stores do on a bad day: refuse, lose the answer, list what was there a while
//! ago, be slow. And the machine in front of it stops at any operation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    Create,
    Replace,
    Get,
    List,
}

/// What happens to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// 503, and nothing is done.
    Refused,
    /// It is done, and the client sees a timeout.
    Lost,
    /// It is done, the answer is lost, and the client's own second attempt meets what the first has written.
    MetItself,
    /// The machine stops before it is done.
    CrashBefore,
    /// The machine stops after it is done.
    CrashAfter,
    /// It takes a while: others go first.
    Slow,
    /// It is done, and the next lists do not show it yet.
    ListedLate,
}

/// Says what happens to the operation on a path that meets it for the `n`th time, from 0.
pub(super) type Plan = Box<dyn Fn(Op, &str, u32) -> Fault + Send + Sync>;

/// Something that happens beside an operation.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// The store.
pub(super) struct Faulty {
    inner: Arc<InMemory>,
    plan: Plan,
    seen: Mutex<BTreeMap<(Op, String), u32>>,
    /// Paths that lists do not show yet, with how many lists that is to last.
    hidden: Mutex<BTreeMap<Path, u32>>,
    stopped: AtomicBool,
    /// Whether a put that may only create replaces.
    careless: AtomicBool,
    happened: Mutex<Vec<String>>,
    meanwhile: Mutex<Option<(String, Meanwhile)>>,
}

impl Faulty {
    pub(super) fn new(
        inner: &Arc<InMemory>,
        plan: impl Fn(Op, &str, u32) -> Fault + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            plan: Box::new(plan),
            seen: Mutex::default(),
            hidden: Mutex::default(),
            stopped: AtomicBool::new(false),
            careless: AtomicBool::new(false),
            happened: Mutex::default(),
            meanwhile: Mutex::default(),
        })
    }

    /// Every fault that has happened, in order.
    pub(super) fn happened(&self) -> Vec<String> {
        self.happened.lock().unwrap().clone()
    }

    /// Lists show `paths` only later.
    pub(super) fn hide(&self, paths: &[&str]) {
        let mut hidden = self.hidden.lock().unwrap();
        hidden.extend(paths.iter().map(|path| (Path::from(*path), 2)));
    }

    /// From now on a put that may only create replaces.
    pub(super) fn ignore_conditions(&self) {
        self.careless.store(true, Ordering::SeqCst);
    }

    /// Has `work` done just before something is created at a path that ends with `path`.
    pub(super) fn meanwhile(&self, path: &str, work: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((path.to_owned(), Box::new(work)));
    }

    /// Decides about an operation. An error if it is not to be done.
    fn decide(&self, op: Op, path: &str) -> Result<Fault> {
        if self.stopped.load(Ordering::SeqCst) {
            return Err(error("the machine has stopped"));
        }
        let count = {
            let mut seen = self.seen.lock().unwrap();
            let count = seen.entry((op, path.to_owned())).or_default();
            *count += 1;
            *count - 1
        };
        let fault = (self.plan)(op, path, count);
        if fault != Fault::None {
            let text = format!("{fault:?} {op:?} {path}");
            self.happened.lock().unwrap().push(text);
        }
        match fault {
            Fault::Refused => Err(error("503 slow down")),
            Fault::CrashBefore => {
                self.stopped.store(true, Ordering::SeqCst);
                Err(error("the machine stops"))
            }
            _ => Ok(fault),
        }
    }

    /// As [`Self::decide`]; what is slow is slow here.
    async fn before(&self, op: Op, path: &str) -> Result<Fault> {
        let fault = self.decide(op, path)?;
        if fault == Fault::Slow {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        Ok(fault)
    }

    /// What the client sees of an operation that is done.
    fn after(&self, fault: Fault, path: &Path) -> Result<()> {
        match fault {
            Fault::Lost => Err(error("timeout")),
            Fault::MetItself => Err(Error::AlreadyExists {
                path: path.to_string(),
                source: "412".into(),
            }),
            Fault::CrashAfter => {
                self.stopped.store(true, Ordering::SeqCst);
                Err(error("the machine stops"))
            }
            Fault::ListedLate => {
                self.hidden.lock().unwrap().insert(path.clone(), 2);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether a list shows `path` already.
    fn listed(hidden: &mut BTreeMap<Path, u32>, path: &Path) -> bool {
        match hidden.get_mut(path) {
            Some(0) | None => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let create = options.mode == PutMode::Create;
        let due = create
            && self
                .meanwhile
                .lock()
                .unwrap()
                .as_ref()
                .is_some_and(|(path, _)| location.as_ref().ends_with(path.as_str()));
        if due {
            let work = self.meanwhile.lock().unwrap().take();
            if let Some((_, work)) = work {
                // On a thread of its own: it waits for the store, whose thread this may be.
                tokio::task::spawn_blocking(work).await.unwrap();
            }
        }
        let op = if create { Op::Create } else { Op::Replace };
        let fault = self.before(op, location.as_ref()).await?;
        let mut options = options;
        if self.careless.load(Ordering::SeqCst) {
            options.mode = PutMode::Overwrite;
        }
        let done = self.inner.put_opts(location, payload, options).await?;
        self.after(fault, location)?;
        Ok(done)
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("the lakes of these tests have no file that comes in parts")
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.before(Op::Get, location.as_ref()).await?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        if self.stopped.load(Ordering::SeqCst) {
            return futures::stream::once(async { Err(error("the machine has stopped")) }).boxed();
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let path = prefix.map(ToString::to_string).unwrap_or_default();
        if let Err(error) = self.decide(Op::List, &path) {
            return futures::stream::once(async { Err(error) }).boxed();
        }
        let hidden = self.hidden.lock().unwrap().clone();
        for left in self.hidden.lock().unwrap().values_mut() {
            *left = left.saturating_sub(1);
        }
        self.inner
            .list(prefix)
            .try_filter(move |object| {
                let shown = hidden.get(&object.location).is_none_or(|left| *left == 0);
                futures::future::ready(shown)
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.map(ToString::to_string).unwrap_or_default();
        self.before(Op::List, &path).await?;
        let mut listed = self.inner.list_with_delimiter(prefix).await?;
        let mut hidden = self.hidden.lock().unwrap();
        listed
            .objects
            .retain(|object| Self::listed(&mut hidden, &object.location));
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn error(text: &'static str) -> Error {
    Error::Generic {
        store: "faulty",
        source: text.into(),
    }
}
