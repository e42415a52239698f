//! What goes in comes out: real files, made-up traces, and hostile input.

#[cfg(test)]
mod canonical;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod files;
#[cfg(test)]
mod footprint;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
