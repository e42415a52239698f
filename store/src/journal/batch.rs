//! What the commit thread takes out of a journal, and how far it then is stored.

/// The region that stands for the slots of open spans: beyond 0 they were replayed.
pub(super) const SLOTS_REGION: u32 = u32::MAX;

/// A position in the `generation`th use of a region: later uses lie behind earlier ones.
pub(super) fn position(generation: u32, offset: usize) -> u64 {
    u64::from(generation) << 32 | offset as u64 & 0xffff_ffff
}

/// How far each region of one journal is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub(crate) struct Positions(Vec<(u32, u64)>);

impl Positions {
    /// The position of a region; 0 if nothing of it is stored.
    pub(crate) fn get(&self, region: u32) -> u64 {
        let found = self.0.binary_search_by_key(&region, |(number, _)| *number);
        found.map_or(0, |at| self.0[at].1)
    }

    /// Moves a region forward; a position behind the present one changes nothing.
    pub(crate) fn advance(&mut self, region: u32, position: u64) {
        match self.0.binary_search_by_key(&region, |(number, _)| *number) {
            Ok(at) => self.0[at].1 = position.max(self.0[at].1),
            Err(at) => self.0.insert(at, (region, position)),
        }
    }

    /// Moves every region forward to where `other` has it.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (region, position) in &other.0 {
            self.advance(*region, *position);
        }
    }
}

/// Records that the commit thread stores together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Records one after another, each behind its length as a little-endian `u32`.
    pub(crate) records: Vec<u8>,
    /// How many there are.
    pub(crate) count: u64,
    /// How far the journal is stored once they are.
    pub(crate) positions: Positions,
}

impl Batch {
    /// Adds one record.
    pub(crate) fn push(&mut self, record: &[u8]) {
        self.records
            .extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.records.extend_from_slice(record);
        self.count += 1;
    }

    /// Adds what is left of open spans, and that this was done.
    pub(super) fn push_open(&mut self, records: &[Vec<u8>]) {
        for record in records {
            self.push(record);
        }
        self.positions.advance(SLOTS_REGION, 1);
    }
}
