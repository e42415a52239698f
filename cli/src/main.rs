//! The `spanlite` command.

fn main() -> std::process::ExitCode {
    spanlite_cli::main()
}
