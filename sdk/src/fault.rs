//! Records the `Err` of a traced function, of any type. See [`crate::capture`] for how the
//! expansion finds the method.

use std::any::type_name;
use std::error::Error;
use std::fmt::{Debug, Display};

use crate::failure::Sheet;

/// An `Err` to record.
#[derive(Debug)]
pub struct Fault<'e, E: ?Sized>(pub &'e E);

macro_rules! fault_tier {
    ($trait:ident, $for:ty, [$($bound:tt)*], $self:ident, $sheet:ident => $record:expr) => {
        /// One way to record an error; the expansion takes the first that fits.
        pub trait $trait {
            /// Writes the exception event and the status.
            fn record(&self, sheet: &mut Sheet<'_>);
        }

        impl<E: ?Sized $($bound)*> $trait for $for {
            fn record(&self, sheet: &mut Sheet<'_>) {
                let ($self, $sheet) = (self.0, &mut *sheet.0);
                $record
            }
        }
    };
}

fault_tier!(FaultError, &&&&&Fault<'_, E>, [+ Error + Sized], error, sheet => {
    sheet.error(type_name::<E>(), error);
});
fault_tier!(FaultSharedHolder, &&&&Fault<'_, E>, [+ AsRef<dyn Error + Send + Sync>], error, sheet => {
    sheet.error(type_name::<E>(), error.as_ref());
});
fault_tier!(FaultHolder, &&&Fault<'_, E>, [+ AsRef<dyn Error>], error, sheet => {
    sheet.error(type_name::<E>(), error.as_ref());
});
fault_tier!(FaultDisplay, &&Fault<'_, E>, [+ Display], error, sheet => {
    sheet.exception(type_name::<E>(), format_args!("{error}"), format_args!("{error}"));
});
fault_tier!(FaultDebug, &Fault<'_, E>, [+ Debug], error, sheet => {
    sheet.exception(type_name::<E>(), format_args!("{error:?}"), format_args!("{error:?}"));
});
fault_tier!(FaultOpaque, Fault<'_, E>, [], _error, sheet => {
    sheet.exception(type_name::<E>(), format_args!("{}", type_name::<E>()), format_args!(""));
});
