use std::error::Error;

/// Why a block cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// A later version of Spanlite wrote the block.
    #[error("the block has version {found}, this program reads up to {supported}")]
    NewerVersion {
        /// The version of the block.
        found: u8,
        /// The newest version that is read.
        supported: u8,
    },
    /// The checksum of the header does not match.
    #[error("the checksum of the block's header does not match")]
    HeaderChecksum,
    /// The checksum of a section does not match.
    #[error("the checksum of section {section} does not match")]
    SectionChecksum {
        /// The number of the section.
        section: u32,
    },
    /// The checksums match, and the bytes still make no sense.
    #[error("the block is malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// There are more traces, spans or bytes than one block can hold.
    #[error("{what} exceed what one block holds")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
    },
    /// The store could not read a section.
    #[error("section {section} cannot be read")]
    Load {
        /// The number of the section.
        section: u32,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl BlockError {
    pub(super) const fn malformed(what: &'static str) -> Self {
        Self::Malformed { what }
    }
}
