//! The hook for what a platform says about a device.

use sordino_shared::control::hexadecimal;
use sordino_shared::secagg::Hash;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Who judges attestations.
#[derive(Clone, Debug)]
pub enum Attestation {
    /// Nobody: every device with a token is believed.
    None,
    /// A program of the operator's: the attestation comes on its standard input, the device's key as its argument.
    Program(PathBuf),
}

impl Attestation {
    /// Whether the device is to be believed.
    ///
    /// # Errors
    /// A sentence for the device.
    pub fn accepts(&self, key: &Hash, attestation: &[u8]) -> Result<(), String> {
        let Self::Program(program) = self else { return Ok(()) };
        let unable = |error: std::io::Error| {
            tracing::error!(program = %program.display(), %error, "the attestation program failed");
            "the attestation cannot be judged now: come again later".to_owned()
        };
        let mut child = Command::new(program)
            .arg(hexadecimal(key))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(unable)?;
        // A program that does not read its input is no fault of the device's.
        let _ = child.stdin.take().map(|mut input| input.write_all(attestation));
        match child.wait().map_err(unable)?.success() {
            true => Ok(()),
            false => Err("the platform's attestation was not accepted".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_decides() {
        let accepts = |program: &str| Attestation::Program(program.into()).accepts(&[1; 32], b"attestation").is_ok();
        assert!(accepts("/bin/true"));
        assert!(!accepts("/bin/false"));
        assert!(!accepts("/nonexistent/program"));
        assert!(Attestation::None.accepts(&[1; 32], b"").is_ok());
    }
}
