//! Whether pages of a redb file are as they were written.
//!
//! redb keeps the checksum of each page in the page above it, and those of the uppermost ones in
//! the header, but compares them only when it repairs a file: a page whose bytes have changed
//! answers a search wrongly, and nobody notices. [`Pages`] looks at what is read, which is always
//! a page after the one above it, and compares. The layout is that of redb's file format 3, as
//! its `docs/design.md` describes it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

/// The header at the front of the file, which redb reads and writes as a whole.
pub(super) const HEADER_BYTES: usize = 320;
const PAGE_BYTES: u64 = 4_096;
/// Where the two commit slots of the header begin.
const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
/// Stands for the checksum of a page that a transaction has not finished.
const DEFERRED: u128 = 999;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// The kind of a table that has one value for a key.
const NORMAL_TABLE: u8 = 3;

/// What is known of the pages of one file that is open.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    geometry: Geometry,
    /// By their offset in the file, the pages that others have named.
    expected: HashMap<u64, Expected>,
    /// The offsets of pages that were something else when they were read.
    damaged: BTreeSet<u64>,
}

/// How many pages a region of the file has.
#[derive(Debug, Default, Clone, Copy)]
struct Geometry {
    header_pages: u64,
    data_pages: u64,
}

#[derive(Debug, Clone, Copy)]
struct Expected {
    checksum: u128,
    bytes: usize,
    tree: Tree,
}

/// What stands in the pages of a tree.
#[derive(Debug, Clone, Copy, Default)]
struct Tree {
    /// The length of each key, where all have one.
    key_bytes: Option<usize>,
    value_bytes: Option<usize>,
    /// The values name the roots of other trees.
    has_tables: bool,
}

/// Something in a file is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{n_pages} pages do not match their checksum, the first of them at byte {first}")]
pub(crate) struct DamagedPages {
    n_pages: usize,
    first: u64,
}

impl Pages {
    /// Looks at the header, which names the roots.
    pub(super) fn saw_header(&self, header: &[u8]) {
        let mut state = self.state();
        let count = |at| array(header, at).map_or(0, u32::from_le_bytes);
        state.geometry = Geometry {
            header_pages: count(16).into(),
            data_pages: count(20).into(),
        };
        for slot in SLOTS {
            let Some(slot) = header.get(slot..slot + SLOT_BYTES) else {
                continue;
            };
            let (content, checksum) = slot.split_at(SLOT_BYTES - 16);
            if array(checksum, 0).map(u128::from_le_bytes) != Some(xxh3_128(content)) {
                continue;
            }
            let tables = Tree {
                has_tables: true,
                ..Tree::default()
            };
            for (present, root) in [(1, 8), (2, 40)] {
                if slot.get(present).is_some_and(|present| *present != 0) {
                    state.expect_root(slot, root, tables);
                }
            }
        }
    }

    /// Looks at a page that was read. False if it is not what was written.
    pub(super) fn saw(&self, offset: u64, page: &[u8]) -> bool {
        let expected = self.state().expected.get(&offset).copied();
        let Some(expected) = expected.filter(|expected| expected.bytes == page.len()) else {
            return true;
        };
        let content = content(page, expected.tree);
        let is_sound = content.is_some_and(|content| xxh3_128(content) == expected.checksum);
        let mut state = self.state();
        if !is_sound {
            state.damaged.insert(offset);
        } else if page.first() == Some(&BRANCH) {
            state.expect_children(page, expected.tree);
        } else if expected.tree.has_tables {
            state.expect_tables(page);
        }
        is_sound
    }

    /// Forgets a page that is written.
    pub(super) fn wrote(&self, offset: u64) {
        self.state().expected.remove(&offset);
    }

    /// Says that the page at an offset is not what was written.
    pub(super) fn is_damaged_at(&self, offset: u64) {
        self.state().damaged.insert(offset);
    }

    /// What was found so far.
    pub(super) fn damage(&self) -> Option<DamagedPages> {
        let damaged = &self.state().damaged;
        Some(DamagedPages {
            n_pages: damaged.len(),
            first: *damaged.first()?,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A page by the number that another page has for it, and its checksum.
    fn expect(&mut self, number: u64, checksum: u128, tree: Tree) {
        const INDEX: u64 = 0xf_ffff;
        let order = number >> 59;
        let bytes = PAGE_BYTES << order;
        let index = number & (INDEX >> order);
        let region = (number >> 20) & INDEX;
        let region_pages = self.geometry.header_pages + self.geometry.data_pages;
        let before = region * region_pages + self.geometry.header_pages;
        let offset = PAGE_BYTES + before * PAGE_BYTES + index * bytes;
        if checksum == DEFERRED {
            self.expected.remove(&offset);
            return;
        }
        let expected = Expected {
            checksum,
            bytes: bytes as usize,
            tree,
        };
        self.expected.insert(offset, expected);
    }

    /// A root: number of the page, checksum, length of the tree.
    fn expect_root(&mut self, bytes: &[u8], at: usize, tree: Tree) -> Option<()> {
        let number = u64::from_le_bytes(array(bytes, at)?);
        let checksum = u128::from_le_bytes(array(bytes, at + 8)?);
        self.expect(number, checksum, tree);
        Some(())
    }

    /// Kind, number of keys, then the checksums and the numbers of one page more than keys.
    fn expect_children(&mut self, page: &[u8], tree: Tree) -> Option<()> {
        let n_children = count_at(page, 2)? + 1;
        for child in 0..n_children {
            let checksum = u128::from_le_bytes(array(page, 8 + 16 * child)?);
            let number = u64::from_le_bytes(array(page, 8 + 16 * n_children + 8 * child)?);
            self.expect(number, checksum, tree);
        }
        Some(())
    }

    /// The definitions of tables in a leaf: kind, length of the table, whether it has a root, the
    /// root, and the widths of keys and values, if they have one.
    fn expect_tables(&mut self, leaf: &[u8]) -> Option<()> {
        let n_tables = count_at(leaf, 2)?;
        let mut start = offset_at(leaf, 4 + 4 * (n_tables - 1))?;
        for table in 0..n_tables {
            let end = offset_at(leaf, 4 + 4 * (n_tables + table))?;
            let definition = leaf.get(start..end)?;
            start = end;
            if (definition.first(), definition.get(9)) != (Some(&NORMAL_TABLE), Some(&1)) {
                continue;
            }
            let width = |at| match definition.get(at) {
                Some(1) => offset_at(definition, at + 1),
                _ => None,
            };
            let tree = Tree {
                key_bytes: width(42),
                value_bytes: width(47),
                has_tables: false,
            };
            self.expect_root(definition, 10, tree)?;
        }
        Some(())
    }
}

/// The part of a page that its checksum covers; nothing if the page contradicts itself.
fn content(page: &[u8], tree: Tree) -> Option<&[u8]> {
    let n = count_at(page, 2)?;
    let last = n.checked_sub(1)?;
    let end = match *page.first()? {
        LEAF => {
            let key_ends = if tree.key_bytes.is_none() { 4 * n } else { 0 };
            let value_ends = if tree.value_bytes.is_none() { 4 * n } else { 0 };
            match (tree.key_bytes, tree.value_bytes) {
                (_, None) => offset_at(page, 4 + key_ends + 4 * last)?,
                (None, Some(value)) => offset_at(page, 4 + 4 * last)?.checked_add(value * n)?,
                (Some(key), Some(value)) => 4 + key_ends + value_ends + (key + value) * n,
            }
        }
        BRANCH => {
            let keys = 8 + 24 * (n + 1);
            match tree.key_bytes {
                Some(key) => keys + key * n,
                None => offset_at(page, keys + 4 * last)?,
            }
        }
        _ => return None,
    };
    page.get(..end)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn count_at(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|count| u16::from_le_bytes(count).into())
}

fn offset_at(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|offset| u32::from_le_bytes(offset) as usize)
}
