//! What a function returns, as far as its signature says.

use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{
    GenericArgument, PathArguments, PathSegment, ReturnType, Token, Type, TypeParamBound, TypePath,
    parse_quote,
};

/// What is returned at once and works later.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lazy {
    Future,
    Iterator,
    Stream,
}

/// Something lazy, and whether it is in a box (`Pin<Box<…>>` for futures and streams).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LazyShape {
    pub(crate) lazy: Lazy,
    pub(crate) boxed: bool,
}

impl LazyShape {
    /// What a signature returns.
    pub(crate) fn of(output: &ReturnType) -> Option<Self> {
        let ReturnType::Type(_, returned) = output else {
            return None;
        };
        match &**returned {
            Type::ImplTrait(opaque) => {
                lazy_bound(&opaque.bounds).map(|lazy| Self { lazy, boxed: false })
            }
            Type::Path(path) => boxed(path),
            _ => None,
        }
    }
}

fn lazy_bound(bounds: &Punctuated<TypeParamBound, Token![+]>) -> Option<Lazy> {
    bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let name = &bound.path.segments.last()?.ident;
        if name == "Future" {
            Some(Lazy::Future)
        } else if name == "Stream" {
            Some(Lazy::Stream)
        } else if name == "Iterator" || name == "DoubleEndedIterator" || name == "ExactSizeIterator"
        {
            Some(Lazy::Iterator)
        } else {
            None
        }
    })
}

fn boxed(path: &TypePath) -> Option<LazyShape> {
    let segment = path.path.segments.last()?;
    let shape = |lazy| Some(LazyShape { lazy, boxed: true });
    match segment.ident.to_string().as_str() {
        "BoxFuture" | "LocalBoxFuture" => shape(Lazy::Future),
        "BoxStream" | "LocalBoxStream" => shape(Lazy::Stream),
        "Pin" | "Box" => {
            let inner = only_type(segment)?;
            match inner {
                Type::Path(path) => boxed(path),
                Type::TraitObject(object) => shape(lazy_bound(&object.bounds)?),
                _ => None,
            }
        }
        _ => None,
    }
}

fn only_type(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

/// The return type as it may be written inside of a function body: `_` for each `impl Trait`.
pub(crate) fn written(output: &ReturnType) -> Type {
    match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, returned) => {
            let mut written = (**returned).clone();
            Erase.visit_type_mut(&mut written);
            written
        }
    }
}

struct Erase;

impl VisitMut for Erase {
    fn visit_type_mut(&mut self, node: &mut Type) {
        if let Type::ImplTrait(_) = node {
            *node = parse_quote!(_);
        } else {
            visit_mut::visit_type_mut(self, node);
        }
    }
}
