//! Blobs on the way out: mounted where that is possible, else one streamed `PUT`, and windows (`PATCH`) where the registry
//! or a broken connection asks for them.
//!
//! distribution-spec §Pushing blobs. What to do after each failure is decided by [`next`], which knows no network.

use reqwest::Method;
use url::Url;

use super::answer::{Answer, content_digest};
use super::request::To;
use super::retry::{self, Again, Failure};
use super::session::{Begun, Session, UploadNotes, received};
use super::small::closing;
use super::token::Scope;
use super::wire::{Delivery, Feed, Parcel};
use super::{Client, Error, api};
use crate::digest::Blob;
use crate::oci::{Pointer, Repository};
use crate::progress::Event;
use crate::store::{self, Source};
use crate::sys::clock;

/// Bytes of a window unless the user or the registry says otherwise: what is sent again at most when a session goes on.
const WINDOW: u64 = 64 << 20;
/// The smallest window we go down to; some registries take no larger one.
const SMALL_WINDOW: u64 = 4 << 20;
/// Blobs below this size are not noted: sending them again is quicker.
const NOTED: u64 = 1 << 20;
/// Changes of course one push may make: every way there is, and a token that ran out on each.
const TURNS: u32 = 6;
/// Bytes that make earlier failures forgotten.
const PROGRESS: u64 = 1 << 20;

/// One blob to push. That it is not there yet has been asked.
pub struct BlobPush<'a> {
    /// Where to.
    pub repository: &'a Repository,
    /// Which blob.
    pub blob: Blob,
    /// Where its bytes are. What is given must already be checked: the last piece only after the digest held.
    pub from: &'a dyn Source,
    /// Repositories that may hold it already; those of other registries are passed over.
    pub mount_from: &'a [Repository],
    /// Where the upload session is noted.
    pub notes: &'a dyn UploadNotes,
}

/// How a blob got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Taken over from another repository.
    Mounted,
    /// Sent.
    Sent {
        /// Bytes put on the wire by this call, those sent twice counted twice.
        bytes: u64,
        /// Where an earlier upload was taken up; 0 when there was none.
        resumed_at: u64,
    },
}

impl BlobPush<'_> {
    /// What is pushed, for messages.
    pub(super) fn what(&self) -> String {
        super::manifest::name(self.repository, &Pointer::Digest(self.blob.digest))
    }
}

impl Client {
    /// Pushes a blob. It is there, under its digest, when this returns; after an error of the registry's the session may
    /// still be noted for another try, after an error of the source's it was given up.
    pub fn push_blob(&self, push: &BlobPush<'_>) -> Result<Pushed, store::Error> {
        let way = Way::Windows(self.window.unwrap_or(WINDOW).max(1));
        let upload = Upload {
            client: self,
            push,
            course: Course {
                way: if self.window.is_some() { way } else { Way::Whole },
                no_put: false,
                no_patch: false,
                unknown: 0,
            },
            at: None,
            least: 0,
            offset: 0,
            best: 0,
            failures: 0,
            turns: 0,
            strangers: 0,
            feed: None,
            sent: 0,
            resumed_at: 0,
        };
        upload.run()
    }
}

/// How bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One `PUT` to the session.
    Whole,
    /// `PATCH` by so many bytes, then an empty `PUT`.
    Windows(u64),
    /// One `POST` without a session.
    Single,
}

/// How bytes are sent, and what this registry was seen to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Course {
    way: Way,
    no_put: bool,
    no_patch: bool,
    /// Refusals in a row that may mean either "no such session" or "never that way".
    unknown: u32,
}

/// What happened to a request, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setback {
    /// The registry answered with this status.
    Status(u16),
    /// The connection broke or stalled.
    Broken,
    /// Anything that another try cannot change.
    Final,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Ask the session how far it is, and go on from there.
    GoOn(Course),
    /// Begin a new session.
    Restart(Course),
    /// Report the failure.
    GiveUp,
}

/// The step after `setback` on `course`.
fn next(course: Course, setback: Setback) -> Next {
    let on = |way| Next::GoOn(Course { way, ..course });
    let windows = if course.no_patch { Way::Whole } else { Way::Windows(WINDOW) };
    match (course.way, setback) {
        (Way::Single, Setback::Broken | Setback::Status(401)) => Next::Restart(course),
        (Way::Single, Setback::Status(status)) if retry::is_passing(status) => Next::Restart(course),
        (Way::Single, _) | (_, Setback::Final) => Next::GiveUp,
        (way, Setback::Status(401 | 416)) => on(way),
        // Large bodies may be what broke it: windows lose less, and smaller ones still less.
        (Way::Whole, Setback::Broken) => on(windows),
        (Way::Whole, Setback::Status(status)) if retry::is_passing(status) => on(windows),
        (Way::Windows(bytes), Setback::Broken) => on(Way::Windows((bytes / 4).max(SMALL_WINDOW.min(bytes)))),
        (way, Setback::Status(status)) if retry::is_passing(status) => on(way),
        (Way::Whole, Setback::Status(413)) if !course.no_patch => on(windows),
        (Way::Windows(bytes), Setback::Status(413)) if bytes > SMALL_WINDOW => on(Way::Windows(SMALL_WINDOW)),
        (Way::Whole, Setback::Status(404 | 405 | 501)) => {
            let way = if course.no_patch { Way::Single } else { windows };
            Next::Restart(Course { way, no_put: true, unknown: 0, ..course })
        }
        (Way::Whole, Setback::Status(400)) if course.unknown < 2 => {
            Next::Restart(Course { unknown: course.unknown + 1, ..course })
        }
        // A lost session answers 404 or 400 too: believed once, then the window itself is taken to be refused.
        (Way::Windows(_), Setback::Status(400 | 404)) if course.unknown == 0 => {
            Next::Restart(Course { unknown: 1, ..course })
        }
        (Way::Windows(_), Setback::Status(400 | 404 | 405 | 501)) => {
            let way = if course.no_put { Way::Single } else { Way::Whole };
            Next::Restart(Course { way, no_patch: true, unknown: 0, ..course })
        }
        _ => Next::GiveUp,
    }
}

/// A push under way.
struct Upload<'a> {
    client: &'a Client,
    push: &'a BlobPush<'a>,
    course: Course,
    at: Option<Url>,
    least: u64,
    /// Bytes the session has.
    offset: u64,
    /// The most it ever had.
    best: u64,
    /// Failures that may pass, since the last progress.
    failures: u32,
    /// Changes of course, since the last progress.
    turns: u32,
    /// Tokens refused in a row.
    strangers: u32,
    feed: Option<Feed<'a>>,
    sent: u64,
    resumed_at: u64,
}

impl Upload<'_> {
    fn run(mut self) -> Result<Pushed, store::Error> {
        self.take_up()?;
        if self.at.is_none() && self.mount()? {
            return Ok(Pushed::Mounted);
        }
        loop {
            let done = match (self.course.way, self.at.clone()) {
                (Way::Single, _) => self.single()?,
                (_, None) => {
                    let begun = self.client.begin(self.push, None)?;
                    self.open(begun);
                    false
                }
                (Way::Whole, Some(at)) if self.offset == 0 => self.whole(at)?,
                (_, Some(at)) if self.offset == self.push.blob.size => self.close(at)?,
                (Way::Windows(bytes), Some(at)) => self.window(at, bytes)?,
                // Part of it is there, and windows are refused.
                (Way::Whole, Some(_)) => {
                    self.restart();
                    false
                }
            };
            if done {
                self.push.notes.forget(self.push.repository, &self.push.blob.digest);
                return Ok(Pushed::Sent { bytes: self.sent, resumed_at: self.resumed_at });
            }
        }
    }

    /// Goes on with the session an earlier process noted, if the registry still has it.
    fn take_up(&mut self) -> Result<(), store::Error> {
        let noted = self.push.notes.find(self.push.repository, &self.push.blob.digest);
        let Some(at) = noted.and_then(|session| Url::parse(&session.location).ok()) else { return Ok(()) };
        if !self.client.core.hosts.admits(&at) {
            return Ok(());
        }
        match self.client.progress(self.push, &at) {
            Ok(Some((at, offset))) if offset <= self.push.blob.size => {
                self.reached(at, offset);
                self.resumed_at = offset;
                if offset > 0 {
                    let text = format!("{}: upload goes on at byte {offset}", self.push.what());
                    self.client.core.observer.event(Event::Note { text: &text });
                }
            }
            Ok(_) | Err(Error::Denied { .. } | Error::Unauthorized { .. }) => self.restart(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Tries each repository that may hold the blob; true when one did. A session opened instead is kept.
    fn mount(&mut self) -> Result<bool, store::Error> {
        let own = self.push.repository;
        let sources = self.push.mount_from.iter();
        for from in sources.filter(|from| from.registry() == own.registry() && *from != own) {
            if let Some(at) = self.at.take() {
                self.client.cancel(self.push, &at);
            }
            match self.client.begin(self.push, Some(from)) {
                Ok(Begun::Mounted) => return Ok(true),
                Ok(begun) => self.open(begun),
                // Not ours to read, or not known: it only means that the bytes must be sent.
                Err(
                    Error::Denied { .. }
                    | Error::Unauthorized { .. }
                    | Error::NotFound { .. }
                    | Error::Refused { .. },
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    fn open(&mut self, begun: Begun) {
        if let Begun::Open { at, least } = begun {
            self.least = least;
            self.reached(at, 0);
        }
    }

    /// The session is at `at` and has `offset` bytes.
    fn reached(&mut self, at: Url, offset: u64) {
        if offset >= self.best.saturating_add(PROGRESS) {
            self.failures = 0;
            self.turns = 0;
        }
        if offset > self.offset {
            self.course.unknown = 0;
        }
        self.best = self.best.max(offset);
        self.offset = offset;
        if self.course.way == Way::Whole && offset > 0 && !self.course.no_patch {
            self.course.way = Way::Windows(WINDOW);
        }
        if self.push.blob.size >= NOTED {
            let session = Session { location: at.to_string(), started: clock::now().unwrap_or(0) };
            self.push.notes.save(self.push.repository, &self.push.blob.digest, &session);
        }
        self.at = Some(at);
    }

    fn restart(&mut self) {
        self.push.notes.forget(self.push.repository, &self.push.blob.digest);
        self.at = None;
        self.offset = 0;
        self.feed = None;
    }

    fn whole(&mut self, at: Url) -> Result<bool, store::Error> {
        let size = self.push.blob.size;
        let delivery = self.deliver(self.parcel(Method::PUT, closing(at, &self.push.blob.digest), size))?;
        self.settle(delivery)
    }

    fn single(&mut self) -> Result<bool, store::Error> {
        let path = format!("blobs/uploads/?digest={}", self.push.blob.digest);
        let To::Api(path) = api(self.push.repository, &path) else { return Ok(false) };
        let to = self.client.core.hosts.api(self.push.repository.registry(), &path)?;
        let delivery = self.deliver(self.parcel(Method::POST, to, self.push.blob.size))?;
        match delivery.result {
            Ok(answer) if answer.status == 202 => Err(Error::Refused {
                what: self.push.what(),
                status: 202,
                message: "it takes this blob neither in one piece nor in windows".into(),
            }
            .into()),
            result => self.settle(Delivery { result, ..delivery }),
        }
    }

    fn close(&mut self, at: Url) -> Result<bool, store::Error> {
        let delivery = self.deliver(self.parcel(Method::PUT, closing(at, &self.push.blob.digest), 0))?;
        self.settle(delivery)
    }

    /// Looks at the answer to the request that ends an upload.
    fn settle(&mut self, delivery: Delivery) -> Result<bool, store::Error> {
        match delivery.result {
            Ok(answer) if matches!(answer.status, 200..=204) => {
                let what = self.push.what();
                answer.not_a_page(&what)?;
                match content_digest(&answer.headers, &what)? {
                    Some(got) if got != self.push.blob.digest => {
                        Err(Error::WrongDigest { what, expected: self.push.blob.digest, got }.into())
                    }
                    _ => Ok(true),
                }
            }
            result => self.recover(result),
        }
    }

    fn window(&mut self, at: Url, bytes: u64) -> Result<bool, store::Error> {
        let (begin, size) = (self.offset, self.push.blob.size);
        let end = begin.saturating_add(bytes.max(self.least)).min(size);
        let mut parcel = self.parcel(Method::PATCH, at.clone(), end - begin);
        parcel.range = Some(format!("{begin}-{}", end - 1));
        let delivery = self.deliver(parcel)?;
        match delivery.result {
            Ok(answer) if matches!(answer.status, 200..=204) => {
                let what = self.push.what();
                answer.not_a_page(&what)?;
                let has = answer.header("range").map_or(end, received);
                if has > end {
                    let why = format!("the session has {has} bytes of {end} that were sent");
                    return Err(Error::Malformed { what, why }.into());
                }
                if has <= begin && end - begin > 1 {
                    let why = "a window was taken and nothing of it kept".to_owned();
                    let failure = Failure::passing(Error::Malformed { what, why });
                    return self.recover(Err(failure));
                }
                let next = self.client.location(&answer, &what)?.unwrap_or(at);
                (self.strangers, self.turns) = (0, 0);
                self.reached(next, has.max(begin + 1));
                Ok(false)
            }
            result => self.recover(result),
        }
    }

    /// A request with the next `length` bytes.
    fn parcel(&self, method: Method, to: Url, length: u64) -> Parcel {
        Parcel {
            method,
            registry: self.push.repository.registry().to_owned(),
            to,
            scope: Scope::push(self.push.repository.path()),
            what: self.push.what(),
            length,
            range: None,
        }
    }

    /// Sends `parcel` with the bytes from where the session is. When the source fails, the session is given up: what it has
    /// cannot be trusted. Being told to stop is no such failure.
    fn deliver(&mut self, parcel: Parcel) -> Result<Delivery, store::Error> {
        let delivered = self.try_deliver(parcel);
        if let Err(error) = &delivered
            && !matches!(error, store::Error::Interrupted)
        {
            self.feed = None;
            if let Some(at) = self.at.take() {
                self.client.cancel(self.push, &at);
            }
            self.push.notes.forget(self.push.repository, &self.push.blob.digest);
        }
        delivered
    }

    fn try_deliver(&mut self, parcel: Parcel) -> Result<Delivery, store::Error> {
        let feed = match self.feed.take().filter(|feed| feed.position() == self.offset) {
            Some(feed) => feed,
            None => Feed::open(self.push.from, &self.push.blob, self.offset)?,
        };
        let feed = self.feed.insert(feed);
        let delivery = self.client.send(parcel, feed)?;
        self.sent += delivery.sent;
        Ok(delivery)
    }

    /// Decides what comes after a failed request, and brings the upload there. True when the blob turns out to be there: the
    /// answer was lost, not the request.
    fn recover(&mut self, result: Result<Answer, Failure>) -> Result<bool, store::Error> {
        self.feed = None;
        let what = self.push.what();
        let (setback, failure) = match result {
            Ok(answer) => {
                let again = if retry::is_passing(answer.status) {
                    retry::again(&answer.headers)
                } else {
                    Again::Never
                };
                let error = answer.refusal(self.push.repository.registry(), &what);
                (Setback::Status(answer.status), Failure { error, again })
            }
            Err(failure) if failure.again == Again::Never => (Setback::Final, failure),
            Err(failure) => (Setback::Broken, failure),
        };
        self.strangers = if setback == Setback::Status(401) { self.strangers + 1 } else { 0 };
        let next = next(self.course, setback);
        let turning = failure.again == Again::Never;
        self.turns += u32::from(turning);
        self.failures += u32::from(!turning);
        if next == Next::GiveUp || self.turns > TURNS || self.strangers > 1 {
            return Err(failure.error.into());
        }
        if !turning {
            self.client.runtime.block_on(self.client.core.pause(failure, self.failures, &what))?;
        }
        match next {
            Next::GoOn(course) => {
                self.course = course;
                let Some(at) = self.at.clone() else { return Ok(false) };
                match self.client.progress(self.push, &at) {
                    Ok(Some((at, offset))) if offset <= self.push.blob.size => self.reached(at, offset),
                    // A registry may hold a session locked by the request that stalled.
                    Ok(_) | Err(Error::Stalled { .. }) => self.restart(),
                    Err(error) => return Err(error.into()),
                }
                if self.at.is_none() {
                    let there = self.client.head_blob(self.push.repository, &self.push.blob.digest)?;
                    return Ok(there == Some(self.push.blob.size));
                }
            }
            Next::Restart(course) => {
                self.course = course;
                self.restart();
            }
            Next::GiveUp => {}
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(way: Way) -> Course {
        Course { way, no_put: false, no_patch: false, unknown: 0 }
    }

    /// Follows `setbacks`, and gives the last step.
    fn follow(setbacks: &[Setback]) -> Next {
        let mut step = Next::GoOn(course(Way::Whole));
        for setback in setbacks {
            step = match step {
                Next::GoOn(course) | Next::Restart(course) => next(course, *setback),
                Next::GiveUp => return step,
            };
        }
        step
    }

    fn way(step: Next) -> Option<Way> {
        match step {
            Next::GoOn(course) | Next::Restart(course) => Some(course.way),
            Next::GiveUp => None,
        }
    }

    #[test]
    fn the_way_follows_what_the_registry_refuses() {
        use Setback::{Broken, Final, Status};
        for (setbacks, wanted) in [
            (&[Broken][..], Some(Way::Windows(WINDOW))),
            (&[Status(502)], Some(Way::Windows(WINDOW))),
            (&[Status(401)], Some(Way::Whole)),
            (&[Status(400)], Some(Way::Whole)),
            (&[Status(400); 3], None),
            (&[Status(413)], Some(Way::Windows(WINDOW))),
            (&[Status(413), Status(413)], Some(Way::Windows(SMALL_WINDOW))),
            (&[Status(413), Status(413), Status(413)], None),
            (&[Broken, Broken], Some(Way::Windows(WINDOW / 4))),
            (&[Broken, Broken, Broken, Broken, Broken], Some(Way::Windows(SMALL_WINDOW))),
            (&[Broken, Status(416)], Some(Way::Windows(WINDOW))),
            (&[Broken, Status(404)], Some(Way::Windows(WINDOW))),
            (&[Broken, Status(404), Status(404)], Some(Way::Whole)),
            (&[Broken, Status(405)], Some(Way::Whole)),
            (&[Broken, Status(405), Broken], Some(Way::Whole)),
            (&[Status(405), Status(405)], Some(Way::Single)),
            (&[Status(404), Status(405), Broken], Some(Way::Single)),
            (&[Status(404), Status(405), Status(404)], None),
            (&[Status(403)], None),
            (&[Status(507)], None),
            (&[Final], None),
        ] {
            assert_eq!(way(follow(setbacks)), wanted, "{setbacks:?}");
        }
    }
}
