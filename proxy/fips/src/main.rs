//! `hauberk-proxy` over the certified AWS-LC-FIPS module. All else is that of `../run`.

#![forbid(unsafe_code)]

use std::ffi::CStr;

/// The module, as its own headers name it.
const MODULE: hauberk_run::Module = hauberk_run::Module {
    name: "AWS-LC FIPS",
    version: match CStr::from_bytes_until_nul(aws_lc_fips_sys::AWSLC_VERSION_NUMBER_STRING) {
        Ok(version) => match version.to_str() {
            Ok(version) => version,
            Err(_) => "unknown",
        },
        Err(_) => "unknown",
    },
};

fn main() -> std::process::ExitCode {
    hauberk_run::main(MODULE)
}
