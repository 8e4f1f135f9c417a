//! The command line: `windrow --help`.

fn main() -> std::process::ExitCode {
    windrow::cli::run(std::env::args_os())
}
