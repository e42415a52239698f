//! One module for each library, each with the same three loops: bare spans, spans with three
//! attributes, spans with two texts of 1 KiB. All of them below one root.

pub mod fastrace;
pub mod layer;
pub mod logfire;
pub mod otel;
pub mod own;
pub mod raw;

/// What the spans carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Bare,
    /// Two short texts and a number.
    Attributes,
    /// Two texts of 1 KiB.
    Texts,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bare, Self::Attributes, Self::Texts];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Attributes => "3 attributes",
            Self::Texts => "2 texts of 1 KiB",
        }
    }

    /// What one may cost the thread that makes it, in nanoseconds, in the best run.
    pub fn goal_nanos(self) -> f64 {
        match self {
            Self::Bare => 70.0,
            Self::Attributes => 110.0,
            Self::Texts => 400.0,
        }
    }
}

/// The texts, made at run time so that no library can keep a static one.
#[derive(Debug)]
pub struct Texts {
    /// 16 bytes.
    pub model: String,
    /// 23 bytes.
    pub region: String,
    /// 1 KiB.
    pub kibibyte: String,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            model: "large-model-2026".to_owned(),
            region: "europe-central-2 (fra1)".to_owned(),
            kibibyte: "what is said in a prompt, "
                .repeat(41)
                .chars()
                .take(1024)
                .collect(),
        }
    }
}
