use super::ast::{PathStep, Place};

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lexeme<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token<'a> {
    /// `name`, `and`, `error`
    Word(&'a str),
    /// `span.a`, `.a`, `tag."a b"`: the word before the dot, maybe empty, and the key.
    Name {
        scope: &'a str,
        name: String,
    },
    /// `span:name`
    Colon {
        scope: &'a str,
        name: &'a str,
    },
    /// `input.messages[0]`
    Path {
        root: &'a str,
        steps: Vec<PathStep>,
    },
    /// `"x"`, `'x'`, `` `x` ``
    Text {
        value: String,
        quote: char,
    },
    Int(i64),
    Float(f64),
    /// In nanoseconds.
    Duration(i64),
    /// `$user`
    Param(&'a str),
    /// `@slow`
    Saved(&'a str),
    Symbol(Symbol),
    /// The end of the text.
    End,
}

macro_rules! symbols {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// Operators and brackets, longest first, so that the first that fits is the right one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Symbol {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Symbol {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

symbols! {
    UnionDescendant = "&>>",
    UnionAncestor = "&<<",
    NotDescendant = "!>>",
    NotAncestor = "!<<",
    UnionChild = "&>",
    UnionParent = "&<",
    UnionSibling = "&~",
    NotChild = "!>",
    NotParent = "!<",
    NotRegex = "!~",
    Descendant = ">>",
    Ancestor = "<<",
    And = "&&",
    Or = "||",
    NotEqual = "!=",
    LessEqual = "<=",
    GreaterEqual = ">=",
    Regex = "=~",
    OpenBrace = "{",
    CloseBrace = "}",
    OpenParen = "(",
    CloseParen = ")",
    Comma = ",",
    Bar = "|",
    Equal = "=",
    Less = "<",
    Greater = ">",
    Sibling = "~",
    Not = "!",
    Plus = "+",
    Minus = "-",
    Star = "*",
    Slash = "/",
    Percent = "%",
    Caret = "^",
}

impl Token<'_> {
    /// The token as a message names it.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Name { scope, name } => format!("`{scope}.{name}`"),
            Self::Colon { scope, name } => format!("`{scope}:{name}`"),
            Self::Path { root, .. } => format!("a path into `{root}`"),
            Self::Text { value, .. } if value.chars().count() <= 20 => {
                format!("the string \"{value}\"")
            }
            Self::Text { .. } => "a string".to_owned(),
            Self::Int(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Duration(_) => "a duration".to_owned(),
            Self::Param(name) => format!("`${name}`"),
            Self::Saved(name) => format!("`@{name}`"),
            Self::Symbol(symbol) => format!("`{}`", symbol.as_str()),
            Self::End => "the end".to_owned(),
        }
    }
}
