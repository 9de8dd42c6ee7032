#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = sordino_fuzz::decoders::registry(bytes);
});
