//! The statements that capture arguments and return values.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Error, FnArg, Ident, PatIdent, Path, Result, Token};

use crate::arguments::Arguments;

/// The names that the parameters of a function bind, `self` left out.
fn parameters(inputs: &Punctuated<FnArg, Token![,]>) -> Vec<Ident> {
    struct Names(Vec<Ident>);
    impl Visit<'_> for Names {
        fn visit_pat_ident(&mut self, pattern: &PatIdent) {
            self.0.push(pattern.ident.clone());
            visit::visit_pat_ident(self, pattern);
        }
    }
    let mut names = Names(Vec::new());
    for input in inputs {
        if let FnArg::Typed(parameter) = input {
            names.visit_pat(&parameter.pat);
        }
    }
    names.0
}

/// Captures the arguments, unless they are skipped, and the fields.
pub(crate) fn inputs(
    krate: &Path,
    arguments: &Arguments,
    signature: &Punctuated<FnArg, Token![,]>,
) -> Result<TokenStream> {
    let parameters = parameters(signature);
    let has_self = signature
        .iter()
        .any(|input| matches!(input, FnArg::Receiver(_)));
    for skipped in &arguments.skip {
        let known = parameters.contains(skipped) || has_self && skipped == "self";
        if !known {
            let message = format!("the function has no parameter `{skipped}`");
            return Err(Error::new(skipped.span(), message));
        }
    }
    let replaced: Vec<String> = arguments
        .fields
        .iter()
        .map(|(key, _)| key.0.value())
        .collect();
    let captured = parameters.iter().filter(|name| {
        let text = name.to_string();
        !arguments.skip_all
            && !arguments.skip.contains(name)
            && !replaced.contains(&text)
            && !text.starts_with("__")
    });
    let captured = captured.map(|name| {
        let text = name.to_string();
        let text = text.strip_prefix("r#").unwrap_or(&text);
        // The place of the macro: lints on the use of a parameter are not for its author.
        let mut name = name.clone();
        name.set_span(Span::call_site().resolved_at(name.span()));
        quote!(__inputs.add(#text, &(&&&#krate::rt::Captured(&#name)).capture());)
    });
    let fields = arguments.fields.iter().map(|(key, value)| {
        let key = &key.0;
        quote_spanned! {syn::spanned::Spanned::span(value)=>
            __inputs.add(#key, &(&&&#krate::rt::Captured(&(#value))).capture());
        }
    });
    let statements: Vec<TokenStream> = captured.chain(fields).collect();
    if statements.is_empty() && arguments.skip_all {
        return Ok(TokenStream::new());
    }
    Ok(quote!(#krate::rt::inputs(&mut __span, |__inputs| { #(#statements)* });))
}

/// Sets span type and attributes.
pub(crate) fn attributes(krate: &Path, arguments: &Arguments) -> TokenStream {
    let span_type = arguments.span_type.iter().map(|span_type| {
        quote_spanned!(syn::spanned::Spanned::span(span_type)=> __span.set_span_type(#span_type);)
    });
    let attributes = arguments.attributes.iter().map(|(key, value)| {
        let key = &key.0;
        quote_spanned! {syn::spanned::Spanned::span(value)=>
            __span.set_attribute(#key, (&&&#krate::rt::Captured(&(#value))).capture());
        }
    });
    quote!(#(#span_type)* #(#attributes)*)
}

/// Records what `__returned` refers to on the span that `__span` refers to.
pub(crate) fn returned(krate: &Path, arguments: &Arguments) -> TokenStream {
    let output = if arguments.skip_output {
        quote!(let _ = __value;)
    } else {
        quote!(#krate::rt::output(__span, &(&&&#krate::rt::Captured(__value)).capture());)
    };
    let fault = if arguments.ignores_errors {
        quote!(let _ = __error;)
    } else {
        quote! {
            #krate::rt::fault(__span, |__sheet| {
                (&&&&&&#krate::rt::Fault(__error)).record(__sheet)
            });
        }
    };
    quote! {
        match (&&#krate::rt::Returned(__returned)).split() {
            ::core::result::Result::Ok(__value) => { #output }
            ::core::result::Result::Err(__error) => { #fault }
        }
    }
}

/// The closure that records the items of an iterator or a stream, and sets the outputs at their
/// end. What a reducer is to see is collected in `__state`.
pub(crate) fn items(krate: &Path, arguments: &Arguments) -> TokenStream {
    let keep = arguments
        .output_reducer
        .as_ref()
        .map(|_| quote!(::std::vec::Vec::push(&mut __state, ::core::clone::Clone::clone(__item));));
    let push = if arguments.skip_output {
        quote!(let _ = __value;)
    } else {
        quote!(__items.push(&(&&&#krate::rt::Captured(__value)).capture());)
    };
    let fail = if arguments.ignores_errors {
        quote!(let _ = __error;)
    } else {
        quote!(__items.fail(|__sheet| (&&&&&&#krate::rt::Fault(__error)).record(__sheet));)
    };
    let end = match &arguments.output_reducer {
        Some(reducer) => quote_spanned! {syn::spanned::Spanned::span(reducer)=>
            __items.reduce(
                || #krate::rt::reduce(#reducer, &__state),
                |__live, __reduced| {
                    __live.outputs(&(&&&#krate::rt::Captured(__reduced)).capture())
                },
            );
        },
        None if arguments.skip_output => quote!(),
        None => quote!(__items.list_outputs();),
    };
    quote! {
        move |__step, __items: &mut #krate::rt::Items| match __step {
            #krate::rt::Step::Item(__item) => {
                #keep
                match (&&#krate::rt::Returned(__item)).split() {
                    ::core::result::Result::Ok(__value) => { #push }
                    ::core::result::Result::Err(__error) => { #fail }
                }
            }
            #krate::rt::Step::End => { #end }
        }
    }
}
