#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sordino_fuzz::control(bytes));
