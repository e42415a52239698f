//! The arguments of `#[trace]`.

use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Error, Expr, Ident, LitStr, Path, Result, Token, parenthesized};

use crate::shape::Lazy;

#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<LitStr>,
    pub(crate) span_type: Option<Expr>,
    pub(crate) attributes: Vec<(Key, Expr)>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) skip_all: bool,
    pub(crate) fields: Vec<(Key, Expr)>,
    pub(crate) skip_output: bool,
    pub(crate) output_reducer: Option<Expr>,
    pub(crate) root: bool,
    pub(crate) sampling: Option<Expr>,
    pub(crate) ignores_errors: bool,
    pub(crate) lazy: Option<Lazy>,
    pub(crate) krate: Option<Path>,
}

/// The key of an attribute or a field: a text, or a name like `user.id`.
pub(crate) struct Key(pub(crate) LitStr);

const KNOWN: &str = "known are `name`, `span_type`, `attributes`, `skip`, `skip_all`, `fields`, \
    `skip_output`, `output_reducer`, `root`, `sampling`, `err`, `stream`, `iterator`, `future` \
    and `crate`";

impl Parse for Key {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            return input.parse().map(Self);
        }
        let names =
            Punctuated::<Ident, Token![.]>::parse_separated_nonempty_with(input, Ident::parse_any)?;
        let text: Vec<String> = names.iter().map(|name| name.unraw().to_string()).collect();
        Ok(Self(LitStr::new(&text.join("."), names.span())))
    }
}

struct Pair(Key, Expr);

impl Parse for Pair {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self(key, input.parse()?))
    }
}

/// A parameter, `self` among them, which is no identifier to `syn`.
struct Skipped(Ident);

impl Parse for Skipped {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        input.call(Ident::parse_any).map(Self)
    }
}

fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn list<T: Parse>(input: ParseStream<'_>) -> Result<Vec<T>> {
    let content;
    parenthesized!(content in input);
    let items = Punctuated::<T, Token![,]>::parse_terminated(&content)?;
    Ok(items.into_iter().collect())
}

fn pairs(input: ParseStream<'_>) -> Result<Vec<(Key, Expr)>> {
    let pairs = list::<Pair>(input)?;
    Ok(pairs
        .into_iter()
        .map(|Pair(key, value)| (key, value))
        .collect())
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            let name = key.to_string();
            if seen.contains(&name) {
                return Err(Error::new(key.span(), format!("`{name}` is given twice")));
            }
            arguments.parse_one(&key, &name, input)?;
            seen.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn parse_one(&mut self, key: &Ident, name: &str, input: ParseStream<'_>) -> Result<()> {
        match name {
            "name" => {
                let text: LitStr = value(input)?;
                if text.value().is_empty() {
                    return Err(Error::new(text.span(), "a span needs a name"));
                }
                self.name = Some(text);
            }
            "span_type" => self.span_type = Some(value(input)?),
            "attributes" => self.attributes = pairs(input)?,
            "skip" => {
                let names = list::<Skipped>(input)?;
                self.skip = names.into_iter().map(|Skipped(name)| name).collect();
            }
            "skip_all" => self.skip_all = true,
            "fields" => self.fields = pairs(input)?,
            "skip_output" => self.skip_output = true,
            "output_reducer" => self.output_reducer = Some(value(input)?),
            "root" => self.root = true,
            "sampling" => self.sampling = Some(value(input)?),
            "err" => {
                let ignore: Ident = value(input)?;
                if ignore != "ignore" {
                    return Err(Error::new(ignore.span(), "`err` can only be `ignore`"));
                }
                self.ignores_errors = true;
            }
            "stream" | "iterator" | "future" => {
                if self.lazy.is_some() {
                    let message = "one of `stream`, `iterator` and `future` is enough";
                    return Err(Error::new(key.span(), message));
                }
                self.lazy = Some(match name {
                    "stream" => Lazy::Stream,
                    "iterator" => Lazy::Iterator,
                    _ => Lazy::Future,
                });
            }
            "crate" => {
                input.parse::<Token![=]>()?;
                self.krate = Some(input.call(Path::parse_mod_style)?);
            }
            _ => {
                let message = format!("unknown argument `{name}`; {KNOWN}");
                return Err(Error::new(key.span(), message));
            }
        }
        Ok(())
    }
}
