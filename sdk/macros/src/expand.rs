//! The expansion of `#[trace]`.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Block, Error, Path, Result, ReturnType, Signature, Type, Visibility, parse_quote,
};

use crate::arguments::Arguments;
use crate::capture;
use crate::shape::{self, Lazy, LazyShape};

/// A function with its body, or a method without one.
pub(crate) struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    defaultness: Option<syn::Token![default]>,
    signature: Signature,
    body: Block,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let defaultness = input.parse()?;
        let signature: Signature = input.parse().map_err(|error| {
            Error::new(
                error.span(),
                "`#[trace]` stands on functions and methods only",
            )
        })?;
        if let Some(constness) = &signature.constness {
            let message = "a `const fn` cannot be traced: it may run in the compiler";
            return Err(Error::new(constness.span, message));
        }
        if input.peek(syn::Token![;]) {
            let message = "a method without a body cannot be traced; trace its implementations";
            return Err(Error::new(signature.ident.span(), message));
        }
        Ok(Self {
            attributes,
            visibility,
            defaultness,
            signature,
            body: input.parse()?,
        })
    }
}

pub(crate) fn expand(arguments: &Arguments, function: &Function) -> Result<TokenStream> {
    let krate = arguments
        .krate
        .clone()
        .unwrap_or_else(|| parse_quote!(::spanlite));
    let shape = returned_shape(arguments, &function.signature);
    if let Some(reducer) = &arguments.output_reducer
        && !shape.is_some_and(|shape| shape.lazy != Lazy::Future)
    {
        let message = "`output_reducer` needs a function that returns an iterator or a stream";
        return Err(Error::new_spanned(reducer, message));
    }
    let begin = begin(&krate, arguments, &function.signature)?;
    let body = if !cfg!(feature = "enable") {
        disabled(arguments, function)
    } else if function.signature.asyncness.is_some() {
        asynchronous(&krate, arguments, function, shape, &begin)
    } else if let Some(shape) = shape {
        lazy(&krate, arguments, function, shape, &begin)
    } else {
        synchronous(&krate, arguments, function, &begin)
    };
    let Function {
        attributes,
        visibility,
        defaultness,
        signature,
        ..
    } = function;
    Ok(quote!(#(#attributes)* #visibility #defaultness #signature #body))
}

/// The body alone. What the arguments name is named here too, so that nothing of the program is
/// unused without the feature.
fn disabled(arguments: &Arguments, function: &Function) -> TokenStream {
    let values = arguments.attributes.iter().chain(&arguments.fields);
    let values = values.map(|(_, value)| value);
    let named: Vec<_> = arguments.span_type.iter().chain(values).collect();
    let body = &function.body;
    if named.is_empty() {
        return body.to_token_stream();
    }
    quote!({
        if false {
            #(let _ = &(#named);)*
        }
        #body
    })
}

/// What is lazy about the return type. What the arguments name and the type does not show can
/// only be in a box: nothing else could hold our own type.
fn returned_shape(arguments: &Arguments, signature: &Signature) -> Option<LazyShape> {
    let seen = LazyShape::of(&signature.output);
    match arguments.lazy {
        Some(lazy) => Some(LazyShape {
            lazy,
            boxed: !matches!(&signature.output, ReturnType::Type(_, returned)
                if matches!(**returned, Type::ImplTrait(_))),
        }),
        None => seen,
    }
}

/// Makes `__span` and captures what goes in.
fn begin(krate: &Path, arguments: &Arguments, signature: &Signature) -> Result<TokenStream> {
    let function = signature.ident.to_string();
    let function = function.strip_prefix("r#").unwrap_or(&function);
    let name = if let Some(name) = &arguments.name {
        quote!(#name)
    } else {
        quote!(#function)
    };
    let root = arguments.root;
    let sampling = if let Some(ratio) = &arguments.sampling {
        quote!(::core::option::Option::Some(#ratio))
    } else {
        quote!(::core::option::Option::None)
    };
    let attributes = capture::attributes(krate, arguments);
    let inputs = capture::inputs(krate, arguments, &signature.inputs)?;
    Ok(quote! {
        let mut __span = #krate::rt::begin(#name, #function, #root, #sampling);
        #[allow(clippy::used_underscore_binding)]
        if __span.is_recording() {
            use #krate::rt::{CaptureDebug as _, CaptureSerialize as _, CaptureTypeName as _};
            #attributes
            #inputs
        }
    })
}

/// The traits whose methods the capture of a return value calls.
fn traits(krate: &Path) -> TokenStream {
    quote! {
        use #krate::rt::{
            CaptureDebug as _, CaptureSerialize as _, CaptureTypeName as _, FaultDebug as _,
            FaultDisplay as _, FaultError as _, FaultHolder as _, FaultOpaque as _,
            FaultSharedHolder as _, SplitResult as _, SplitValue as _,
        };
    }
}

fn record(krate: &Path, arguments: &Arguments) -> TokenStream {
    let traits = traits(krate);
    let returned = capture::returned(krate, arguments);
    quote! {
        if __span.is_recording() {
            #traits
            let (__span, __returned) = (&mut __span, &__returned);
            #returned
        }
        ::core::mem::drop(__span);
    }
}

fn synchronous(
    krate: &Path,
    arguments: &Arguments,
    function: &Function,
    begin: &TokenStream,
) -> TokenStream {
    let body = &function.body;
    let returned = shape::written(&function.signature.output);
    if let Type::Never(_) = returned {
        return quote!({
            #begin
            let __entered = #krate::rt::enter(__span);
            #body
        });
    }
    let record = record(krate, arguments);
    quote!({
        #begin
        let (__returned, mut __span) = #krate::rt::call(__span, move || -> #returned #body);
        #record
        __returned
    })
}

fn asynchronous(
    krate: &Path,
    arguments: &Arguments,
    function: &Function,
    shape: Option<LazyShape>,
    begin: &TokenStream,
) -> TokenStream {
    let statements = &function.body.stmts;
    let returned = shape::written(&function.signature.output);
    if let Type::Never(_) = returned {
        return quote!({
            #begin
            #[allow(unreachable_code)]
            {
                #krate::rt::run(__span, async move { #(#statements)* }).await;
                ::std::process::abort()
            }
        });
    }
    // Tells the compiler what `?` and `return` in the body return.
    let hint = quote! {
        if let ::core::option::Option::Some(__returned) =
            ::core::option::Option::None::<#returned>
        {
            return __returned;
        }
    };
    let run = quote! {
        #begin
        let (__returned, mut __span) = #krate::rt::run(__span, async move {
            #hint
            #(#statements)*
        })
        .await;
    };
    if let Some(shape) = shape.filter(|shape| shape.lazy != Lazy::Future) {
        let wrapped = wrap_items(krate, arguments, shape, &quote!(running_items));
        return quote!({ #run #wrapped });
    }
    let record = record(krate, arguments);
    quote!({ #run #record __returned })
}

fn lazy(
    krate: &Path,
    arguments: &Arguments,
    function: &Function,
    shape: LazyShape,
    begin: &TokenStream,
) -> TokenStream {
    let body = &function.body;
    let made = quote! {
        #begin
        let __returned = #krate::rt::call_once(move || #body);
    };
    if shape.lazy != Lazy::Future {
        let wrapped = wrap_items(krate, arguments, shape, &quote!(items));
        return quote!({ #made #wrapped });
    }
    let traits = traits(krate);
    let returned = capture::returned(krate, arguments);
    let wrapped = quote! {
        #krate::rt::future(__span, __returned, |__returned, __span| {
            #traits
            #returned
        })
    };
    let wrapped = boxed(shape, wrapped);
    quote!({ #made #wrapped })
}

/// Wraps the iterator or stream in `__returned`.
fn wrap_items(
    krate: &Path,
    arguments: &Arguments,
    shape: LazyShape,
    items: &TokenStream,
) -> TokenStream {
    let traits = traits(krate);
    let record = capture::items(krate, arguments);
    let state = arguments
        .output_reducer
        .as_ref()
        .map(|_| quote!(let mut __state = ::std::vec::Vec::new();));
    let wrap = match shape.lazy {
        Lazy::Iterator => quote!(iterator),
        Lazy::Stream | Lazy::Future => quote!(stream),
    };
    let wrapped = quote!(#krate::rt::#wrap(#krate::rt::#items(__span), __returned, #record));
    let wrapped = boxed(shape, wrapped);
    quote! {
        #traits
        #state
        #wrapped
    }
}

fn boxed(shape: LazyShape, wrapped: TokenStream) -> TokenStream {
    match (shape.boxed, shape.lazy) {
        (false, _) => wrapped,
        (true, Lazy::Iterator) => quote!(::std::boxed::Box::new(#wrapped)),
        (true, Lazy::Future | Lazy::Stream) => quote!(::std::boxed::Box::pin(#wrapped)),
    }
}
