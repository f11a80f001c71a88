//! Names the shared library as it is installed: plain cargo sets no SONAME.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let link = |argument: &str| println!("cargo:rustc-cdylib-link-arg=-Wl,{argument}");
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        // Android loads libraries by names without a number.
        Ok("android") => link("-soname,liblittoral.so"),
        Ok("linux") => link("-soname,liblittoral.so.0"),
        _ => return,
    }
    // Kernels with pages of 16 KiB, as newer phones have, load nothing that is laid out for less.
    link("-z,max-page-size=16384");
}
