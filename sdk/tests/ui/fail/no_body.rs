trait T {
    #[spanlite::trace]
    fn f(&self);
}

fn main() {}
