//! `hauberk-proxy` over AWS-LC as it is released. The one over the certified module is `../fips`.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    hauberk_run::main(hauberk_run::Module::standard())
}
