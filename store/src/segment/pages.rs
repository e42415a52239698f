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
    /// The pages that it names are known: it was read before.
    is_known: bool,
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
        // redb refuses more pages in a region than that.
        let count = |at| array(header, at).map_or(0, u32::from_le_bytes).min(1 << 20);
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
        let expected = self.state().expected(offset, page);
        let Some(expected) = expected else {
            return true;
        };
        let content = content(page, expected.tree);
        let is_sound = content.is_some_and(|content| xxh3_128(content) == expected.checksum);
        if !is_sound {
            self.is_damaged_at(offset);
        } else if !expected.is_known {
            self.state().expect_below(offset, page, expected);
        }
        is_sound
    }

    /// Makes a damaged page one that redb can read: if it contradicts itself, on which redb panics,
    /// also as it cleans up after a panic, it becomes a leaf with one row, which is of nobody. The
    /// pages below are looked at too.
    pub(super) fn make_readable(&self, offset: u64, page: &mut [u8], file_bytes: u64) {
        let mut state = self.state();
        let Some(expected) = state.expected(offset, page) else {
            return;
        };
        if is_whole(page, expected.tree) && state.are_inside(page, file_bytes) {
            state.expect_below(offset, page, expected);
        } else {
            become_empty(page, expected.tree);
        }
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
    /// What a page has to be; nothing where no other page named it.
    fn expected(&self, offset: u64, page: &[u8]) -> Option<Expected> {
        let expected = self.expected.get(&offset).copied();
        expected.filter(|expected| expected.bytes == page.len())
    }

    /// Takes note of the pages that a page names.
    fn expect_below(&mut self, offset: u64, page: &[u8], expected: Expected) {
        if page.first() == Some(&BRANCH) {
            self.expect_children(page, expected.tree);
        } else if expected.tree.has_tables {
            self.expect_tables(page);
        }
        let named = self.expected.get_mut(&offset);
        if let Some(named) = named.filter(|named| named.checksum == expected.checksum) {
            named.is_known = true;
        }
    }

    /// Whether the file has the pages that a branch names.
    fn are_inside(&self, page: &[u8], file_bytes: u64) -> bool {
        let n_children = match (page.first(), count_at(page, 2)) {
            (Some(&BRANCH), Some(n_keys)) => n_keys + 1,
            _ => return true,
        };
        (0..n_children).all(|child| {
            let number = array(page, 8 + 16 * n_children + 8 * child).map(u64::from_le_bytes);
            number.is_some_and(|number| {
                let (offset, bytes) = self.place(number);
                offset + bytes <= file_bytes
            })
        })
    }

    /// Where the page of a number stands, and how long it is.
    fn place(&self, number: u64) -> (u64, u64) {
        const INDEX: u64 = 0xf_ffff;
        let order = number >> 59;
        let bytes = PAGE_BYTES << order;
        let index = number & (INDEX >> order);
        let region = (number >> 20) & INDEX;
        let region_pages = self.geometry.header_pages + self.geometry.data_pages;
        let before = region * region_pages + self.geometry.header_pages;
        (PAGE_BYTES + before * PAGE_BYTES + index * bytes, bytes)
    }

    /// A page by the number that another page has for it, and its checksum.
    fn expect(&mut self, number: u64, checksum: u128, tree: Tree) {
        let (offset, bytes) = self.place(number);
        if checksum == DEFERRED {
            self.expected.remove(&offset);
            return;
        }
        let expected = Expected {
            checksum,
            bytes: bytes as usize,
            tree,
            is_known: false,
        };
        let known = self.expected.entry(offset).or_insert(expected);
        if (known.checksum, known.bytes) != (checksum, expected.bytes) {
            *known = expected;
        }
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

/// Whether the rows of a page, or the keys of a branch, follow one another and end inside of it.
fn is_whole(page: &[u8], tree: Tree) -> bool {
    let ends = |count: usize, at: usize, from: usize, fixed: Option<usize>| match fixed {
        Some(width) => Some(from + width * count),
        None => (0..count).try_fold(from, |from, row| {
            offset_at(page, at + 4 * row).filter(|end| from <= *end)
        }),
    };
    let list = |fixed: Option<usize>, n: usize| if fixed.is_none() { 4 * n } else { 0 };
    let end = match (page.first(), count_at(page, 2)) {
        (_, None | Some(0)) => None,
        (Some(&LEAF), Some(n)) => {
            let values_at = 4 + list(tree.key_bytes, n);
            let keys = values_at + list(tree.value_bytes, n);
            ends(n, 4, keys, tree.key_bytes)
                .and_then(|keys| ends(n, values_at, keys, tree.value_bytes))
        }
        (Some(&BRANCH), Some(n)) => {
            let ends_at = 8 + 24 * (n + 1);
            ends(
                n,
                ends_at,
                ends_at + list(tree.key_bytes, n),
                tree.key_bytes,
            )
        }
        _ => None,
    };
    end.is_some_and(|end| end <= page.len())
}

/// Makes a page a leaf with one row: zeros, or nothing, for its key and its value.
fn become_empty(page: &mut [u8], tree: Tree) {
    let ends: &[Option<usize>] = &[tree.key_bytes, tree.value_bytes];
    let lists = ends.iter().filter(|fixed| fixed.is_none()).count();
    let mut content = vec![LEAF, 0, 1, 0];
    let mut end = 4 + 4 * lists;
    for fixed in ends {
        end += fixed.unwrap_or(0);
        if fixed.is_none() {
            content.extend_from_slice(&(end as u32).to_le_bytes());
        }
    }
    content.resize(page.len().max(content.len()), 0);
    page.copy_from_slice(&content[..page.len()]);
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
