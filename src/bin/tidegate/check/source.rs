//! The recorded files as streams in order of time, in constant memory.
//!
//! A worker with one thread writes in order, and so it is read as it stands. A file out of order (several threads) is
//! read into memory and sorted.

use crate::failure::Failure;
use crate::record::{Admission, SIZE};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

const BUFFER: usize = 1 << 18;

/// By which end of its interval an admission is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Before,
    After,
}

impl Order {
    fn key(self, admission: &Admission) -> u64 {
        match self {
            Order::Before => admission.before,
            Order::After => admission.after,
        }
    }
}

/// A file of records that was looked through once.
#[derive(Debug)]
pub struct Recorded<'a> {
    path: &'a Path,
    /// Records that were whole when it was looked through; it may be growing.
    records: u64,
    in_order: bool,
    /// Bytes of half a record at its end: its writer was killed.
    pub torn: u64,
}

impl Recorded<'_> {
    /// Looks through `path`, showing each record to `look`.
    pub fn scan<'a>(path: &'a Path, mut look: impl FnMut(&Admission)) -> Result<Recorded<'a>, Failure> {
        let mut file = Records::open(path, u64::MAX)?;
        let (mut records, mut in_order, mut last) = (0, true, (0, 0));
        while let Some(admission) = file.read()? {
            if admission.after < admission.before {
                return Err(Failure::usage(format!(
                    "{}: record {records} ends before it begins: this is no file of admissions (24 bytes each: ns before, \
                     ns after, permits)",
                    path.display()
                )));
            }
            in_order &= admission.before >= last.0 && admission.after >= last.1;
            last = (admission.before, admission.after);
            records += 1;
            look(&admission);
        }
        Ok(Recorded { path, records, in_order, torn: file.torn })
    }

    fn stream(&self, order: Order) -> Result<Stream, Failure> {
        let mut file = Records::open(self.path, self.records)?;
        if self.in_order {
            return Ok(Stream::InOrder(file));
        }
        let mut all = Vec::new();
        while let Some(admission) = file.read()? {
            all.push(admission);
        }
        all.sort_unstable_by_key(|admission| order.key(admission));
        Ok(Stream::Sorted(all.into_iter()))
    }
}

/// The records of one file as they stand there.
struct Records {
    file: BufReader<File>,
    name: String,
    left: u64,
    torn: u64,
}

impl Records {
    fn open(path: &Path, most: u64) -> Result<Records, Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| Failure::usage(format!("{name}: {e}")))?;
        Ok(Records { file: BufReader::with_capacity(BUFFER, file), name, left: most, torn: 0 })
    }

    fn read(&mut self) -> Result<Option<Admission>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (mut bytes, mut have) = ([0; SIZE], 0);
        while have < SIZE {
            match self.file.read(&mut bytes[have..]) {
                Ok(0) => {
                    self.torn = have as u64;
                    return Ok(None);
                }
                Ok(more) => have += more,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::usage(format!("{}: {e}", self.name))),
            }
        }
        Ok(Some(Admission::from_bytes(&bytes)))
    }
}

enum Stream {
    InOrder(Records),
    Sorted(std::vec::IntoIter<Admission>),
}

impl Stream {
    fn next(&mut self) -> Result<Option<Admission>, Failure> {
        match self {
            Stream::InOrder(file) => file.read(),
            Stream::Sorted(admissions) => Ok(admissions.next()),
        }
    }
}

/// All files as one stream in `order`.
pub struct Merged {
    order: Order,
    streams: Vec<Stream>,
    /// The next of each stream, the earliest on top.
    heads: BinaryHeap<Reverse<(u64, usize, u64, u64)>>,
}

impl Merged {
    pub fn of(files: &[Recorded<'_>], order: Order) -> Result<Merged, Failure> {
        let streams = files.iter().map(|file| file.stream(order)).collect::<Result<Vec<_>, _>>()?;
        let mut merged = Merged { order, heads: BinaryHeap::with_capacity(streams.len()), streams };
        for stream in 0..merged.streams.len() {
            merged.refill(stream)?;
        }
        Ok(merged)
    }

    /// When the next one comes.
    pub fn peek(&self) -> Option<u64> {
        self.heads.peek().map(|Reverse((at, ..))| *at)
    }

    pub fn next(&mut self) -> Result<Option<Admission>, Failure> {
        let Some(Reverse((at, stream, other, permits))) = self.heads.pop() else { return Ok(None) };
        self.refill(stream)?;
        Ok(Some(match self.order {
            Order::Before => Admission { before: at, after: other, permits },
            Order::After => Admission { before: other, after: at, permits },
        }))
    }

    fn refill(&mut self, stream: usize) -> Result<(), Failure> {
        if let Some(admission) = self.streams[stream].next()? {
            let other = match self.order {
                Order::Before => admission.after,
                Order::After => admission.before,
            };
            self.heads.push(Reverse((self.order.key(&admission), stream, other, admission.permits)));
        }
        Ok(())
    }
}
