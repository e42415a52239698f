//! The attribute macro of the Spanlite SDK.
