//! The `spanlite` command, built in this package so that its tests can start it.

fn main() -> std::process::ExitCode {
    spanlite_cli::main()
}
