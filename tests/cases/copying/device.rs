//! A device of the tests' own, served through FUSE: it tells as much room as it is told to tell, and fails where it is told to fail.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

/// What the device does wrong, with files whose names contain `0001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Gives this byte back with a bit flipped.
    Flips(u64),
    /// Cannot read this byte.
    Unreadable(u64),
    /// Takes this byte, and forgets it.
    Forgets(u64),
    /// Holds no more than so many bytes in all.
    Holds(u64),
    /// Says that it could not make anything durable.
    NoSync,
}

/// A device that is mounted until it is dropped.
pub(crate) struct Device {
    _session: BackgroundSession,
    state: Arc<Mutex<State>>,
}

struct State {
    nodes: BTreeMap<u64, Node>,
    fault: Fault,
    /// Bytes that it says are free; `None` to say nothing.
    free: Option<u64>,
}

struct Node {
    parent: u64,
    name: String,
    bytes: Option<Vec<u8>>,
}

struct Served(Arc<Mutex<State>>);

impl Device {
    /// Mounts one at `at`.
    pub(crate) fn mount(at: &Path, fault: Fault, free: Option<u64>) -> Self {
        let root = Node { parent: 1, name: String::new(), bytes: None };
        let state = State { nodes: BTreeMap::from([(1, root)]), fault, free };
        let state = Arc::new(Mutex::new(state));
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName("device".to_owned()), MountOption::Subtype("faulty".to_owned())];
        let session = fuser::spawn_mount(Served(Arc::clone(&state)), at, &config).unwrap();
        Self { _session: session, state }
    }

    /// What it does wrong from now on.
    pub(crate) fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }
}

const SOON: Duration = Duration::ZERO;

impl State {
    fn child(&self, parent: u64, name: &OsStr) -> Option<u64> {
        let mut found = self.nodes.iter().filter(|(_, node)| node.parent == parent && !node.name.is_empty());
        found.find(|(_, node)| OsStr::new(&node.name) == name).map(|(number, _)| *number)
    }

    fn attr(&self, number: u64) -> Option<FileAttr> {
        let node = self.nodes.get(&number)?;
        let size = node.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let kind = if node.bytes.is_some() { FileType::RegularFile } else { FileType::Directory };
        let time: SystemTime = UNIX_EPOCH;
        Some(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn add(&mut self, parent: u64, name: &OsStr, bytes: Option<Vec<u8>>) -> FileAttr {
        let number = self.nodes.keys().max().unwrap() + 1;
        self.nodes.insert(number, Node { parent, name: name.to_str().unwrap().to_owned(), bytes });
        self.attr(number).unwrap()
    }

    fn used(&self) -> u64 {
        self.nodes.values().filter_map(|node| node.bytes.as_ref()).map(|bytes| bytes.len() as u64).sum()
    }

    fn faulty(&self, number: u64) -> bool {
        self.nodes[&number].name.contains("0001")
    }
}

impl Served {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.state();
        match state.child(parent.0, name).and_then(|number| state.attr(number)) {
            Some(attr) => reply.entry(&SOON, &attr, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.state().attr(ino.0) {
            Some(attr) => reply.attr(&SOON, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        if let (Some(size), Some(bytes)) =
            (size, state.nodes.get_mut(&ino.0).and_then(|node| node.bytes.as_mut()))
        {
            bytes.resize(usize::try_from(size).unwrap(), 0);
        }
        reply.attr(&SOON, &state.attr(ino.0).unwrap());
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let mut state = self.state();
        match state.child(parent.0, name) {
            Some(_) => reply.error(Errno::EEXIST),
            None => reply.entry(&SOON, &state.add(parent.0, name, None), Generation(0)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        match state.child(parent.0, name) {
            Some(number) => {
                // Whoever has it open writes into nothing.
                state.nodes.remove(&number);
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.unlink(request, parent, name, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let mut state = self.state();
        let Some(number) = state.child(parent.0, name) else { return reply.error(Errno::ENOENT) };
        if let Some(other) = state.child(to.0, new) {
            state.nodes.remove(&other);
        }
        let node = state.nodes.get_mut(&number).unwrap();
        (node.parent, node.name) = (to.0, new.to_str().unwrap().to_owned());
        reply.ok();
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let attr = self.state().add(parent.0, name, Some(vec![]));
        reply.created(&SOON, &attr, Generation(0), FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = self.state();
        let bytes = state.nodes[&ino.0].bytes.as_ref().unwrap();
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let to = (from + size as usize).min(bytes.len());
        let mut part = bytes[from..to].to_vec();
        let inside = |at: u64| (from as u64..to as u64).contains(&at) && state.faulty(ino.0);
        match state.fault {
            Fault::Unreadable(at) if inside(at) => return reply.error(Errno::EIO),
            Fault::Flips(at) if inside(at) => part[usize::try_from(at).unwrap() - from] ^= 1,
            _ => {}
        }
        reply.data(&part);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.state();
        let end = usize::try_from(offset).unwrap() + data.len();
        let (fault, used, faulty) = (state.fault, state.used(), state.faulty(ino.0));
        let bytes = state.nodes.get_mut(&ino.0).unwrap().bytes.as_mut().unwrap();
        let grows = end.saturating_sub(bytes.len()) as u64;
        if matches!(fault, Fault::Holds(most) if used + grows > most) {
            return reply.error(Errno::ENOSPC);
        }
        bytes.resize(bytes.len().max(end), 0);
        bytes[end - data.len()..end].copy_from_slice(data);
        match fault {
            Fault::Forgets(at) if faulty && (offset..end as u64).contains(&at) => {
                bytes[usize::try_from(at).unwrap()] ^= 1;
            }
            _ => {}
        }
        reply.written(u32::try_from(data.len()).unwrap());
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.state().fault {
            Fault::NoSync => reply.error(Errno::EIO),
            _ => reply.ok(),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.state();
        let inside = state.nodes.iter().filter(|(number, node)| node.parent == ino.0 && **number != 1);
        for (place, (number, node)) in inside.enumerate().skip(usize::try_from(offset).unwrap()) {
            let kind = state.attr(*number).unwrap().kind;
            if reply.add(INodeNo(*number), place as u64 + 1, kind, &node.name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let state = self.state();
        match state.free {
            Some(free) => {
                let (all, free) = ((free + state.used()) / 4096 + 1, free / 4096);
                reply.statfs(all, free, free, 1000, 1000, 4096, 255, 4096);
            }
            None => reply.statfs(0, 0, 0, 1000, 1000, 4096, 255, 4096),
        }
    }
}
