use super::ast::Place;
use super::form::Form;
use super::token::{Lexeme, Symbol, Token};
use crate::error::{Code, QueryError};

/// Brackets may be nested this deep.
const MAX_DEPTH: u32 = 100;

/// A query may have this many operators, so that no tree is deeper than the stack bears.
const MAX_OPERATORS: u32 = 400;

/// Tokens being read, with the furthest one that was looked at in vain and what would have been
/// taken there.
pub(crate) struct Cursor<'a> {
    lexemes: Vec<Lexeme<'a>>,
    at: usize,
    furthest: usize,
    expected: Vec<&'static str>,
    depth: u32,
    operators: u32,
    pub(crate) form: Form,
    pub(crate) warnings: Vec<QueryError>,
}

pub(crate) type Parsed<T> = Result<T, QueryError>;

impl<'a> Cursor<'a> {
    /// Reads `lexemes`, the last of which is the end.
    pub(crate) fn new(lexemes: Vec<Lexeme<'a>>, form: Form) -> Self {
        Self {
            lexemes,
            at: 0,
            furthest: 0,
            expected: Vec::new(),
            depth: 0,
            operators: 0,
            form,
            warnings: Vec::new(),
        }
    }

    pub(crate) fn token(&self) -> &Token<'a> {
        self.ahead(0)
    }

    /// The token `n` behind the next; the end stays the end.
    pub(crate) fn ahead(&self, n: usize) -> &Token<'a> {
        match self
            .lexemes
            .get(self.at + n)
            .or_else(|| self.lexemes.last())
        {
            Some(lexeme) => &lexeme.token,
            None => &Token::End,
        }
    }

    /// The token that was taken last.
    pub(crate) fn before(&self, back: usize) -> Option<&Token<'a>> {
        let at = self.at.checked_sub(back)?;
        self.lexemes.get(at).map(|lexeme| &lexeme.token)
    }

    /// Where the next token stands.
    pub(crate) fn place(&self) -> Place {
        self.lexemes
            .get(self.at)
            .or_else(|| self.lexemes.last())
            .map(|lexeme| lexeme.place)
            .unwrap_or_default()
    }

    /// Where the token `n` behind the next stands.
    pub(crate) fn ahead_place(&self, n: usize) -> Place {
        self.lexemes
            .get(self.at + n)
            .map(|lexeme| lexeme.place)
            .unwrap_or_default()
    }

    /// Where the last token that was taken stands.
    pub(crate) fn last_place(&self) -> Place {
        self.at
            .checked_sub(1)
            .and_then(|at| self.lexemes.get(at))
            .map(|lexeme| lexeme.place)
            .unwrap_or_default()
    }

    /// From `start` to the end of the last token that was taken.
    pub(crate) fn since(&self, start: Place) -> Place {
        start.to(self.last_place())
    }

    /// Takes the next token.
    pub(crate) fn advance(&mut self) -> Place {
        let place = self.place();
        if self.at + 1 < self.lexemes.len() {
            self.at += 1;
        }
        place
    }

    /// Remembers what would have been taken here.
    pub(crate) fn note(&mut self, label: &'static str) {
        if self.at > self.furthest {
            self.furthest = self.at;
            self.expected.clear();
        }
        if self.at == self.furthest && !self.expected.contains(&label) {
            self.expected.push(label);
        }
    }

    /// Takes a symbol if it is next.
    pub(crate) fn eat(&mut self, symbol: Symbol) -> Option<Place> {
        if *self.token() == Token::Symbol(symbol) {
            return Some(self.advance());
        }
        self.note(quoted(symbol));
        None
    }

    /// Takes a word if it is next. `any_case` is for words that are not TraceQL's.
    pub(crate) fn eat_word(&mut self, word: &'static str, any_case: bool) -> Option<Place> {
        if self.is_word(0, word, any_case) {
            return Some(self.advance());
        }
        self.note(word);
        None
    }

    pub(crate) fn is_word(&self, n: usize, word: &str, any_case: bool) -> bool {
        match self.ahead(n) {
            Token::Word(found) if any_case => found.eq_ignore_ascii_case(word),
            Token::Word(found) => *found == word,
            _ => false,
        }
    }

    pub(crate) fn expect(&mut self, symbol: Symbol) -> Parsed<Place> {
        match self.eat(symbol) {
            Some(place) => Ok(place),
            None => Err(self.unexpected()),
        }
    }

    /// Takes the bracket that closes the one at `open`.
    pub(crate) fn close(&mut self, symbol: Symbol, open: Place) -> Parsed<Place> {
        if let Some(place) = self.eat(symbol) {
            return Ok(place);
        }
        let error = self.unexpected();
        if *self.token() != Token::End || self.furthest != self.at {
            return Err(error);
        }
        let opened = if symbol == Symbol::CloseBrace {
            "{"
        } else {
            "("
        };
        let message = format!("`{opened}` is not closed");
        Err(QueryError::new(Code::Unclosed, open.range(), message)
            .help(format!("add {}", symbol.as_str()))
            .expecting(error.expected))
    }

    /// Goes one bracket deeper; undone by [`Cursor::leave`].
    pub(crate) fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(QueryError::new(
                Code::TooDeep,
                self.place().range(),
                format!("brackets are nested more than {MAX_DEPTH} deep"),
            ));
        }
        Ok(())
    }

    /// Counts an operator that was taken.
    pub(crate) fn count_operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            return Err(QueryError::new(
                Code::TooLong,
                self.last_place().range(),
                format!("more than {MAX_OPERATORS} operators"),
            )
            .help("write lists as in (…)"));
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// The error for the furthest place that was reached.
    pub(crate) fn unexpected(&mut self) -> QueryError {
        if self.at > self.furthest {
            self.furthest = self.at;
            self.expected.clear();
        }
        let lexeme = self
            .lexemes
            .get(self.furthest)
            .or_else(|| self.lexemes.last());
        let (token, place) = match lexeme {
            Some(lexeme) => (&lexeme.token, lexeme.place),
            None => (&Token::End, Place::default()),
        };
        let before = self
            .furthest
            .checked_sub(1)
            .and_then(|at| self.lexemes.get(at))
            .map(|lexeme| &lexeme.token);
        super::habits::answer(token, place, before, self.form).unwrap_or_else(|| {
            let found = token.described();
            let wanted = self.wanted();
            let message = if wanted.is_empty() {
                format!("{found} does not belong here")
            } else {
                format!("expected {wanted}, found {found}")
            };
            QueryError::new(Code::Unexpected, place.range(), message)
                .expecting(self.expected.clone())
        })
    }

    fn wanted(&self) -> String {
        let mut wanted = String::new();
        for (index, label) in self.expected.iter().enumerate() {
            if index > 0 {
                let last = index + 1 == self.expected.len();
                wanted.push_str(if last { " or " } else { ", " });
            }
            wanted.push_str(label);
        }
        wanted
    }
}

fn quoted(symbol: Symbol) -> &'static str {
    match symbol {
        Symbol::OpenBrace => "`{`",
        Symbol::CloseBrace => "`}`",
        Symbol::OpenParen => "`(`",
        Symbol::CloseParen => "`)`",
        Symbol::Comma => "`,`",
        Symbol::Bar => "`|`",
        Symbol::Equal => "`=`",
        Symbol::Minus => "`-`",
        other => other.as_str(),
    }
}
